//! Root keys that are not files: AWS KMS over real HTTP (moto's server), PKCS#11 in a real token (SoftHSM2).
//! `cargo xtask test` brings both and names them in the environment.

use std::path::PathBuf;
use std::process::Command;

use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::types::Tag;
use harness::database;
use serde_json::json;
use service::Clock;
use store::Store;
use token_vault::audit::{Actor, AuditKey, Ledger};
use token_vault::crypto::root::{Provider, Root, RootSpec, Roots, Wrapped};
use token_vault::{records, rotation};
use vault_api::keys::Mode;
use zeroize::Zeroizing;

use crate::vault::{Vault, payment};

/// A running moto server, `http://127.0.0.1:5000`.
const KMS: &str = "CARDSEAL_TEST_KMS_ENDPOINT";

/// A PKCS#11 module: SoftHSM2's.
const PKCS11: &str = "CARDSEAL_TEST_PKCS11_MODULE";

// Absent parts are said, and fail where everything must be there.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn part(name: &str) -> Option<String> {
    let found = std::env::var(name).ok();
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{name} is not set; run: cargo xtask test"
        );
        eprintln!("SKIPPED: {name} is not set; run: cargo xtask test");
    }
    found
}

const HERE: Wrapped<'_> = Wrapped {
    kind: "tenant-key",
    id: "tk_1",
    generation: 1,
    tenant: "mer_a",
    mode: Mode::Test,
};

/// What every provider must do.
async fn behaves(root: &dyn Provider, other: &dyn Provider) {
    let key = Zeroizing::new([9; 32]);
    let wrapped = root.wrap(&key, HERE).await.unwrap();
    assert_eq!(*root.unwrap(&wrapped, HERE).await.unwrap(), *key);
    assert_ne!(
        root.wrap(&key, HERE).await.unwrap(),
        wrapped,
        "wraps are random"
    );
    assert!(!wrapped.windows(32).any(|window| window == &key[..]));
    for elsewhere in [
        Wrapped { id: "tk_2", ..HERE },
        Wrapped {
            generation: 2,
            ..HERE
        },
        Wrapped {
            tenant: "mer_b",
            ..HERE
        },
        Wrapped {
            mode: Mode::Live,
            ..HERE
        },
        Wrapped {
            kind: "service-secret",
            ..HERE
        },
    ] {
        assert!(
            root.unwrap(&wrapped, elsewhere).await.is_err(),
            "{elsewhere:?}"
        );
    }
    assert!(
        other.unwrap(&wrapped, HERE).await.is_err(),
        "another key's wrap"
    );
    let mut changed = wrapped.clone();
    *changed.last_mut().unwrap() ^= 1;
    for wrong in [&changed[..], &wrapped[..wrapped.len() - 1], b"", b"\x01"] {
        assert!(root.unwrap(wrong, HERE).await.is_err());
    }
    // A refusal does not spoil the connection.
    assert_eq!(*root.unwrap(&wrapped, HERE).await.unwrap(), *key);
}

/// A vault whose root was a file moves to `spec` while it serves, and starts with that alone.
async fn a_vault_moves_to(spec: &str) {
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        let token = vault.token("4242424242424242").await;
        let stored = vault
            .exchange(&json!({"source": token, "for": "storage"}), "k")
            .await;
        let card = stored.json["stored_card"]["id"].as_str().unwrap();
        let file = vault.folder.join("roots");
        let both = std::fs::read_to_string(&file).unwrap() + spec + "\n";
        std::fs::write(&file, both).unwrap();

        let store = Store::open(&vault.database.location, records::MIGRATIONS).unwrap();
        let root = Root::open(Roots::new(vec![], Some(file)), Mode::Test, &store, 0)
            .await
            .unwrap();
        Ledger::attach(&store, AuditKey::of(&root), "cli_test").unwrap();
        let to = spec
            .parse::<RootSpec>()
            .unwrap()
            .open(Mode::Test)
            .await
            .unwrap();
        let actor = Actor {
            merchant: String::new(),
            id: "operator".into(),
            request_id: "req_t".into(),
        };
        let done = rotation::root(&store, &root, &Clock::system(), to.as_ref(), &actor)
            .await
            .unwrap();
        assert_eq!(
            (done.tenant_keys, done.service_secrets, done.retired.len()),
            (1, 4, 1),
            "{done:?}"
        );
        // A new merchant's key is made by the new root, in the server that runs.
        let new =
            json!({"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040}});
        let answer = vault.mallory().post("/v1/tokens", &new).await;
        assert_eq!(answer.status, 200, "{}", answer.text);

        std::fs::write(vault.folder.join("roots"), format!("{spec}\n")).unwrap();
        let app = crate::vault::app(
            &vault.database.location,
            &vault.folder,
            Default::default(),
            Default::default(),
        )
        .await;
        let (listener, url) = crate::vault::bind().await;
        let stop = service::listen::Stop::on_signal().unwrap();
        tokio::spawn(service::listen::serve(
            listener,
            token_vault::private::router(app),
            stop,
        ));
        let alice = harness::Http::new(&url).bearer(vault.merchants[0].restricted.expose());
        let pay = alice
            .with("idempotency-key", "k")
            .post("/v1/exchange", &payment(card, 1))
            .await;
        assert_eq!(pay.status, 200, "{}", pay.text);
    }
}

async fn refusal(spec: &str, mode: Mode) -> String {
    let spec: RootSpec = spec.parse().unwrap();
    format!("{:#}", spec.open(mode).await.err().expect("refused"))
}

async fn kms_key(endpoint: &str, mode: Option<&str>) -> String {
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let tag = |value: &str| {
        let tag = Tag::builder().tag_key("cardseal-mode").tag_value(value);
        tag.build().unwrap()
    };
    let made = aws_sdk_kms::Client::from_conf(config)
        .create_key()
        .set_tags(mode.map(|mode| vec![tag(mode)]))
        .send()
        .await
        .unwrap();
    let arn = made.key_metadata().unwrap().arn().unwrap();
    format!("aws-kms:{arn}?endpoint={endpoint}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_in_aws_kms() {
    let Some(endpoint) = part(KMS) else { return };
    let (test, other) = (
        kms_key(&endpoint, Some("test")).await,
        kms_key(&endpoint, Some("test")).await,
    );
    let open = async |spec: &str| {
        spec.parse::<RootSpec>()
            .unwrap()
            .open(Mode::Test)
            .await
            .unwrap()
    };
    let (root, other) = (open(&test).await, open(&other).await);
    assert!(root.id().starts_with("arn:aws:kms:eu-west-1:"));
    behaves(root.as_ref(), other.as_ref()).await;

    let live = kms_key(&endpoint, Some("live")).await;
    assert!(
        refusal(&live, Mode::Test)
            .await
            .contains("tagged for live mode")
    );
    assert!(
        refusal(&test, Mode::Live)
            .await
            .contains("tagged for test mode")
    );
    let untagged = kms_key(&endpoint, None).await;
    assert!(
        refusal(&untagged, Mode::Test)
            .await
            .contains("cardseal-mode=test")
    );
    let (known, query) = test.split_once('?').unwrap();
    let unknown = format!("{}00000?{query}", &known[..known.len() - 5]);
    assert!(
        refusal(&unknown, Mode::Test)
            .await
            .contains("kms:DescribeKey failed")
    );
    a_vault_moves_to(&test).await;
}

/// A SoftHSM2 token with keys in a folder of its own. SoftHSM2 reads where its tokens are from the environment, which
/// a test must not change for its whole process: `cargo xtask test` sets SOFTHSM2_CONF for all of them.
struct Token {
    module: String,
    label: String,
    pin_file: PathBuf,
}

impl Token {
    fn make(module: String) -> Self {
        let label = vault_api::ids::new_id("t").to_lowercase();
        let label = label[..20].to_owned();
        let pin_file = std::env::temp_dir().join(format!("cardseal-pin-{label}"));
        std::fs::write(&pin_file, "648219\n").unwrap();
        let made = Command::new("softhsm2-util")
            .args([
                "--init-token",
                "--free",
                "--label",
                &label,
                "--pin",
                "648219",
                "--so-pin",
                "135790",
            ])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Self {
            module,
            label,
            pin_file,
        }
    }

    fn spec(&self, key: &str) -> String {
        format!(
            "pkcs11:{}?token={}&key={key}&pin-file={}",
            self.module,
            self.label,
            self.pin_file.display()
        )
    }

    /// Makes keys with these labels: 256 bits, and extractable or not.
    fn keys(&self, keys: &[(&str, bool)]) {
        use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
        use cryptoki::mechanism::Mechanism;
        use cryptoki::object::Attribute;
        use cryptoki::session::UserType;
        // Makes the module known to this process, whichever test comes first.
        let module = Pkcs11::new(&self.module).unwrap();
        let initialised = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let slots = module.get_slots_with_token();
        assert!(initialised.is_ok() || slots.is_ok());
        let slot = slots
            .unwrap()
            .into_iter()
            .find(|slot| module.get_token_info(*slot).unwrap().label() == self.label);
        let session = module.open_rw_session(slot.unwrap()).unwrap();
        session
            .login(UserType::User, Some(&"648219".to_owned().into()))
            .unwrap();
        for (label, extractable) in keys {
            session
                .generate_key(
                    &Mechanism::AesKeyGen,
                    &[
                        Attribute::Token(true),
                        Attribute::Sensitive(true),
                        Attribute::Extractable(*extractable),
                        Attribute::ValueLen(32.into()),
                        Attribute::Encrypt(true),
                        Attribute::Decrypt(true),
                        Attribute::Label(label.as_bytes().to_vec()),
                    ],
                )
                .unwrap();
        }
        session.close().unwrap();
        module.finalize().unwrap();
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.pin_file);
        let _ = Command::new("softhsm2-util")
            .args(["--delete-token", "--token", &self.label])
            .output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_in_a_pkcs11_token() {
    let Some(module) = part(PKCS11) else { return };
    let token = Token::make(module);
    token.keys(&[
        ("root-test", false),
        ("other-test", false),
        ("loose-test", true),
        ("root-live", false),
    ]);
    let open = async |key: &str| {
        token
            .spec(key)
            .parse::<RootSpec>()
            .unwrap()
            .open(Mode::Test)
            .await
            .unwrap()
    };
    let (root, other) = (open("root-test").await, open("other-test").await);
    assert_eq!(root.id(), format!("pkcs11:{}/root-test", token.label));
    behaves(root.as_ref(), other.as_ref()).await;

    assert!(
        refusal(&token.spec("root-live"), Mode::Test)
            .await
            .contains("must end in -test")
    );
    assert!(
        refusal(&token.spec("root-test"), Mode::Live)
            .await
            .contains("must end in -live")
    );
    assert!(
        refusal(&token.spec("loose-test"), Mode::Test)
            .await
            .contains("non-extractable")
    );
    assert!(
        refusal(&token.spec("none-test"), Mode::Test)
            .await
            .contains("0 AES keys")
    );
    let elsewhere = token
        .spec("root-test")
        .replace(&token.label, "no-such-token");
    assert!(
        refusal(&elsewhere, Mode::Test)
            .await
            .contains("no token with this label")
    );
    a_vault_moves_to(&token.spec("root-test")).await;
}
