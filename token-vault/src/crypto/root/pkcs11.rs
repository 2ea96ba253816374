//! A root key in a PKCS#11 token (an HSM): a 256-bit AES key that the token does not give out. The token seals with
//! AES-GCM; the AAD is the same as the local file's.
//!
//! The key's label ends in `-test` or `-live`: a vault refuses the other mode's. The PIN comes from a file. A module
//! is loaded once a process; calls run on a thread of their own, because a module blocks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as TokenError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use vault_api::keys::Mode;
use zeroize::Zeroizing;

use super::{Answer, Provider, RootError, Wrapped};
use crate::crypto::{CannotOpen, Key, random};

const VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG_BITS: u64 = 128;

// A module may be initialised once a process, however many keys of it are used.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// A key in a token.
pub struct TokenKey {
    id: String,
    at: Arc<At>,
}

/// Where the key is, and the session that speaks to it. A session that fails is opened anew at the next call.
struct At {
    module: PathBuf,
    token: String,
    key: String,
    pin_file: PathBuf,
    session: Mutex<Option<(Session, ObjectHandle)>>,
}

impl TokenKey {
    /// Opens the key with this label and checks that the token keeps it.
    ///
    /// # Errors
    /// When the module, the token or the key is not there, or the key is not fit to be this mode's root.
    pub async fn open(
        module: &Path,
        token: &str,
        key: &str,
        pin_file: &Path,
        mode: Mode,
    ) -> anyhow::Result<Self> {
        if !key.ends_with(&format!("-{mode}")) {
            bail!(
                "the key's label must end in -{mode}, for this vault runs in {mode} mode: test and live never share a root"
            );
        }
        let at = Arc::new(At {
            module: module.to_owned(),
            token: token.to_owned(),
            key: key.to_owned(),
            pin_file: pin_file.to_owned(),
            session: Mutex::new(None),
        });
        let opening = at.clone();
        tokio::task::spawn_blocking(move || opening.with(|_, _| Ok(())))
            .await
            .context("the PKCS#11 module panicked")?
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Self {
            id: format!("pkcs11:{token}/{key}"),
            at,
        })
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl Fn(&Session, ObjectHandle) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, RootError> {
        let at = self.at.clone();
        tokio::task::spawn_blocking(move || at.with(work))
            .await
            .map_err(|_| RootError::Unavailable("the PKCS#11 module panicked".to_owned()))?
    }
}

impl At {
    fn with<T>(
        &self,
        work: impl Fn(&Session, ObjectHandle) -> Result<T, TokenError>,
    ) -> Result<T, RootError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        // Twice: the first failure may be a session that the token ended.
        for fresh in [false, true] {
            if session.is_none() || fresh {
                *session = None;
                let opened = self.connect().map_err(|e| {
                    RootError::Unavailable(format!("{}/{}: {e:#}", self.token, self.key))
                })?;
                *session = Some(opened);
            }
            let Some((live, key)) = session.as_ref() else {
                break;
            };
            match work(live, *key) {
                Ok(done) => return Ok(done),
                Err(TokenError::Pkcs11(
                    RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange,
                    _,
                )) => return Err(CannotOpen.into()),
                Err(error) if fresh => {
                    return Err(RootError::Unavailable(format!(
                        "{}/{}: the token refused: {error}",
                        self.token, self.key
                    )));
                }
                Err(_) => {}
            }
        }
        Err(RootError::Unavailable("no session".to_owned()))
    }

    fn connect(&self) -> anyhow::Result<(Session, ObjectHandle)> {
        let module = loaded(&self.module)?;
        let mut slots = module.get_slots_with_token()?.into_iter();
        let slot = slots.find(|slot| {
            let info = module.get_token_info(*slot);
            info.is_ok_and(|info| info.label().trim_end() == self.token)
        });
        let slot = slot.context("the module has no token with this label")?;
        let pin = std::fs::read_to_string(&self.pin_file).map(Zeroizing::new);
        let pin = pin.with_context(|| {
            format!("the PIN's file {} cannot be read", self.pin_file.display())
        })?;
        let session = module.open_ro_session(slot)?;
        match session.login(UserType::User, Some(&AuthPin::from(pin.trim().to_owned()))) {
            // A login is the process's, whichever session made it.
            Ok(()) | Err(TokenError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => bail!("the token refuses the PIN: {error}"),
        }
        let found = session.find_objects(&[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.key.as_bytes().to_vec()),
        ])?;
        let [key] = found.as_slice() else {
            bail!(
                "the token has {} AES keys with this label; there must be one",
                found.len()
            );
        };
        kept(&session, *key)?;
        let key = *key;
        Ok((session, key))
    }
}

// The key must be one that no call of the module's gives out.
fn kept(session: &Session, key: ObjectHandle) -> anyhow::Result<()> {
    let wanted = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::ValueLen,
    ];
    let found = session.get_attributes(key, &wanted)?;
    for (attribute, what) in [
        (Attribute::Sensitive(true), "sensitive"),
        (Attribute::Extractable(false), "non-extractable"),
        (Attribute::ValueLen(32.into()), "256 bit long"),
    ] {
        if !found.contains(&attribute) {
            bail!("the key must be {what}");
        }
    }
    Ok(())
}

fn loaded(path: &Path) -> anyhow::Result<Pkcs11> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path)
        .with_context(|| format!("the PKCS#11 module {} cannot be loaded", path.display()))?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

impl Provider for TokenKey {
    fn id(&self) -> &str {
        &self.id
    }

    fn provider(&self) -> &'static str {
        "pkcs11"
    }

    fn algorithm(&self) -> &'static str {
        "AES-256-GCM in the token (CKM_AES_GCM)"
    }

    fn wrap<'a>(&'a self, key: &'a Key, place: Wrapped<'a>) -> Answer<'a, Vec<u8>> {
        let (key, aad) = (key.clone(), place.aad(&self.id));
        Box::pin(self.call(move |session, root| {
            let nonce: [u8; NONCE] = random();
            let mut iv = nonce;
            let gcm = GcmParams::new(&mut iv, &aad, TAG_BITS.into())?;
            let sealed = session.encrypt(&Mechanism::AesGcm(gcm), root, &key[..])?;
            // Some tokens choose the nonce themselves and write it back.
            Ok([&[VERSION][..], &iv, &sealed].concat())
        }))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], place: Wrapped<'a>) -> Answer<'a, Key> {
        let (wrapped, aad) = (wrapped.to_vec(), place.aad(&self.id));
        Box::pin(async move {
            let parts = match wrapped.split_first() {
                Some((&VERSION, rest)) => rest.split_at_checked(NONCE),
                _ => None,
            };
            let (iv, sealed) = parts.ok_or(CannotOpen)?;
            let iv: [u8; NONCE] = iv.try_into().map_err(|_| CannotOpen)?;
            let sealed = sealed.to_vec();
            let plain = self.call(move |session, root| {
                let mut iv = iv;
                let gcm = GcmParams::new(&mut iv, &aad, TAG_BITS.into())?;
                session
                    .decrypt(&Mechanism::AesGcm(gcm), root, &sealed)
                    .map(Zeroizing::new)
            });
            let plain = plain.await?;
            let key: [u8; 32] = plain.as_slice().try_into().map_err(|_| CannotOpen)?;
            Ok(Zeroizing::new(key))
        })
    }
}
