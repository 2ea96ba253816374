//! A vault on ports of its own, with two merchants and their keys.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::database::{self, Fresh};
use harness::http::{Answer, Http};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, OpModeS, Serializable as _};
use serde_json::{Value, json};
use service::Clock;
use service::health::Metrics;
use service::listen::{self, Stop};
use store::{Location, Store};
use token_vault::app::Parts;
use token_vault::audit::{AuditKey, Ledger};
use token_vault::crypto::cvv::Epochs;
use token_vault::crypto::root::{Root, Roots};
use token_vault::forward::Destinations;
use token_vault::forward::retry::CvvPolicy;
use token_vault::funding::FundingTable;
use token_vault::http::doors::Doors;
use token_vault::public::FrameFiles;
use token_vault::records::{self, keys::Limits};
use token_vault::replicas::Replicas;
use token_vault::{App, Error, operator, private, public};
use vault_api::keys::{ApiKey, Kind, Mode};
use vault_api::tokens::{SEALING_INFO, sealing_aad};

pub const SHOP: &str = "https://shop.example";

pub struct Vault {
    pub app: App,
    pub public: Http,
    pub private: Http,
    pub private_address: String,
    pub admin: Http,
    pub merchants: Vec<Merchant>,
    pub service_key: ApiKey,
    pub folder: PathBuf,
    pub database: Fresh,
}

pub struct Merchant {
    pub id: String,
    pub publishable: ApiKey,
    pub secret: ApiKey,
    pub restricted: ApiKey,
}

/// Runs `test` on a fresh vault per store.
pub async fn on_each_store<F, R>(test: F)
where
    F: Fn(Arc<Vault>) -> R,
    R: Future<Output = ()>,
{
    for database in database::fresh() {
        test(Arc::new(Vault::start(database, None).await)).await;
    }
}

impl Vault {
    /// A vault whose destinations are the text of a file.
    pub async fn start(database: Fresh, destinations: Option<&str>) -> Self {
        Self::start_with(database, destinations, Doors::default()).await
    }

    /// The same with limits of the test's own.
    pub async fn start_with(database: Fresh, destinations: Option<&str>, doors: Doors) -> Self {
        Self::start_as(database, destinations, doors, CvvPolicy::default()).await
    }

    /// The same with what the operator decided about CVVs.
    pub async fn start_with_cvvs(
        database: Fresh,
        destinations: Option<&str>,
        cvvs: CvvPolicy,
    ) -> Self {
        Self::start_as(database, destinations, Doors::default(), cvvs).await
    }

    async fn start_as(
        database: Fresh,
        destinations: Option<&str>,
        doors: Doors,
        cvvs: CvvPolicy,
    ) -> Self {
        let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-vault"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("clock"), "0").unwrap();
        std::fs::write(folder.join("acquirer.key"), "acquirer-secret-key").unwrap();
        let destinations = match destinations {
            Some(text) => {
                std::fs::write(folder.join("destinations.toml"), text).unwrap();
                Destinations::read(&folder.join("destinations.toml"), false).unwrap()
            }
            None => Destinations::default(),
        };
        let app = app_with(&database.location, &folder, destinations, doors, cvvs).await;
        let stop = Stop::on_signal().unwrap();
        let (public, public_url) = bind().await;
        let (private, private_url) = bind().await;
        tokio::spawn(listen::serve(
            public,
            public::router(app.clone()),
            stop.clone(),
        ));
        let (admin, admin_url) = bind().await;
        tokio::spawn(listen::serve(
            admin,
            operator::router(app.clone()),
            stop.clone(),
        ));
        tokio::spawn(listen::serve(private, private::router(app.clone()), stop));
        let merchants = vec![
            merchant(&app, "Alice").await,
            merchant(&app, "Mallory").await,
        ];
        let service_key = service_key(&app, &merchants).await;
        let (public, private) = (Http::new(&public_url), Http::new(&private_url));
        Self {
            app,
            public,
            private,
            private_address: private_url.replace("http://", ""),
            admin: Http::new(&admin_url),
            merchants,
            service_key,
            folder,
            database,
        }
    }

    /// The private listener as the first merchant's restricted key.
    pub fn alice(&self) -> Http {
        self.private.bearer(self.merchants[0].restricted.expose())
    }

    /// The private listener as the other merchant's.
    pub fn mallory(&self) -> Http {
        self.private.bearer(self.merchants[1].restricted.expose())
    }

    /// Moves the vault's clock.
    pub async fn advance(&self, seconds: i64) {
        std::fs::write(self.folder.join("clock"), seconds.to_string()).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    }

    /// A token for a card, by the private listener.
    pub async fn token(&self, number: &str) -> String {
        let card =
            json!({"card": {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}});
        let answer = self.alice().post("/v1/tokens", &card).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["id"].as_str().unwrap().to_owned()
    }

    /// A grant for a token.
    pub async fn grant(&self, token: &str, amount: i64) -> String {
        let answer = self.exchange(&payment(token, amount), "key-1").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["grant"]["id"].as_str().unwrap().to_owned()
    }

    pub async fn exchange(&self, body: &Value, key: &str) -> Answer {
        self.alice()
            .with("idempotency-key", key)
            .post("/v1/exchange", body)
            .await
    }

    /// A field session, as the frame fetches it.
    pub async fn session(&self) -> Value {
        let body = json!({"key": self.merchants[0].publishable.expose()});
        let answer = self.public.post("/v1/field-sessions", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    /// Seals a card as the frame does.
    pub fn seal(&self, session: &Value, card: &Value) -> Value {
        self.seal_for(self.merchants[0].publishable.expose(), session, card)
    }

    /// Seals a card under a session of this publishable key.
    pub fn seal_for(&self, publishable: &str, session: &Value, card: &Value) -> Value {
        let key = &session["sealing"][0];
        let kid = key["kid"].as_str().unwrap();
        let aad = sealing_aad(
            kid,
            session["mode"].as_str().unwrap(),
            publishable,
            session["jti"].as_str().unwrap(),
        );
        let public = URL_SAFE_NO_PAD
            .decode(key["public_key"].as_str().unwrap())
            .unwrap();
        let public = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&public).unwrap();
        let (enc, mut context) = hpke::setup_sender::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &public,
            SEALING_INFO.as_bytes(),
        )
        .unwrap();
        let ct = context
            .seal(card.to_string().as_bytes(), aad.as_bytes())
            .unwrap();
        json!({"sealed": {"kid": kid, "enc": URL_SAFE_NO_PAD.encode(enc.to_bytes()), "ct": URL_SAFE_NO_PAD.encode(ct)}})
    }

    pub async fn tokenise(&self, session: &Value, sealed: &Value) -> Answer {
        self.public
            .bearer(session["session"].as_str().unwrap())
            .post("/v1/tokens", sealed)
            .await
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn payment(source: &str, amount: i64) -> Value {
    json!({"source": source, "for": "payment", "intent": "pi_1", "amount": amount, "currency": "usd"})
}

pub async fn app(
    location: &Location,
    folder: &std::path::Path,
    destinations: Destinations,
    doors: Doors,
) -> App {
    app_with(location, folder, destinations, doors, CvvPolicy::default()).await
}

async fn app_with(
    location: &Location,
    folder: &std::path::Path,
    destinations: Destinations,
    doors: Doors,
    cvvs: CvvPolicy,
) -> App {
    let roots = Roots::new(vec![], Some(folder.join("roots")));
    if !folder.join("roots").exists() {
        let first = format!("file:{}\n", folder.join("root.key").display());
        std::fs::write(folder.join("roots"), first).unwrap();
    }
    let store = Store::open(location, records::MIGRATIONS).unwrap();
    let clock = Clock::with_offset_file(&folder.join("clock"));
    let root = Root::open(roots, Mode::Test, &store, clock.now())
        .await
        .unwrap();
    let process = vault_api::ids::new_id("proc");
    Ledger::attach(&store, AuditKey::of(&root), &process).unwrap();
    let funding = "424242,424242,credit\n400005,400005,debit\n555555,555555,prepaid\n";
    App::new(Parts {
        funding: FundingTable::parse(funding).expect("a table"),
        store,
        root,
        tenants: Default::default(),
        keys: Default::default(),
        epochs: Epochs::new(&process),
        replicas: Replicas::new(&process),
        sealing: Default::default(),
        destinations,
        cvvs,
        frame: FrameFiles::default().with_payments(Some("https://payments.example".to_owned())),
        clock,
        refusals: Default::default(),
        metrics: Metrics::default(),
        doors,
        process,
    })
}

pub async fn bind() -> (tokio::net::TcpListener, String) {
    let listener = listen::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn merchant(app: &App, name: &'static str) -> Merchant {
    let made = Merchant {
        id: vault_api::ids::new_id("mer"),
        publishable: ApiKey::random(Kind::Publishable, Mode::Test),
        secret: ApiKey::random(Kind::Secret, Mode::Test),
        restricted: ApiKey::random(Kind::Restricted, Mode::Test),
    };
    let keys = [
        made.publishable.clone(),
        made.secret.clone(),
        made.restricted.clone(),
    ];
    let (id, now) = (made.id.clone(), app.clock.now());
    let parts = app.clone();
    app.store
        .write(move |tx| {
            records::keys::create_merchant(tx, &id, name, now)?;
            for key in &keys {
                let scopes = ["cards:write", "cards:read", "exchange", "forward"]
                    .map(str::to_owned)
                    .to_vec();
                let limits = Limits {
                    scopes,
                    origins: vec![SHOP.to_owned()],
                    ..Limits::default()
                };
                records::keys::create_key(
                    tx,
                    parts.root.macs(),
                    &vault_api::ids::new_id("key"),
                    key,
                    Some(&id),
                    &limits,
                    now,
                )?;
            }
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    made
}

async fn service_key(app: &App, merchants: &[Merchant]) -> ApiKey {
    let key = ApiKey::random(Kind::Service, Mode::Test);
    let (made, now) = (key.clone(), app.clock.now());
    let merchants: Vec<String> = merchants[..1].iter().map(|m| m.id.clone()).collect();
    let parts = app.clone();
    app.store
        .write(move |tx| {
            let limits = Limits {
                merchants: merchants.clone(),
                ..Limits::default()
            };
            records::keys::create_key(tx, parts.root.macs(), "key_svc", &made, None, &limits, now)
        })
        .await
        .unwrap();
    key
}
