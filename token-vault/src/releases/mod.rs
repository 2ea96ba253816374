//! Releases of the frame: what each consists of is a statement, signed by a key that is not on the vault's machine.
//!
//! A [`Statement`] names every file that the public listener serves of a build, with its digest. It is signed as a JWS
//! (RFC 7515, EdDSA) and stands in the build's folder as `release.jws`. Whoever knows the public key can tell what a
//! buyer's browser is meant to run, whatever the vault says. With release keys given, the vault starts on nothing else.

pub mod command;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha384};
use zeroize::Zeroizing;

use crate::crypto::random;
use crate::public::FrameFiles;

/// The signed statement, in a build's folder.
pub const FILE: &str = "release.jws";

/// The `typ` of the JWS: a signature of this key over anything else is none.
const TYPE: &str = "cardseal-release+jwt";

/// RFC 8410 §7: PKCS#8 of an Ed25519 private key is this prefix and the seed, as `openssl genpkey -algorithm ed25519` writes it.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

/// What a build consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The release.
    pub version: String,
    /// When it was signed, Unix seconds.
    pub iat: i64,
    /// What the public listener serves of it: path (a document's with its layout) and `sha384-..` of the body.
    pub files: BTreeMap<String, String>,
}

impl Statement {
    /// Looks at a build, and at nothing but its bytes.
    ///
    /// # Errors
    /// Which file is missing, or is not what the build's own manifest says.
    pub fn of(folder: &Path, now: i64) -> anyhow::Result<Self> {
        FrameFiles::verify(folder)?;
        let mut files = BTreeMap::new();
        for (path, file) in FrameFiles::served(folder)? {
            let content = std::fs::read(folder.join(file))?;
            let digest = format!("sha384-{}", STANDARD.encode(Sha384::digest(&content)));
            files.insert(path, digest);
        }
        Ok(Self {
            version: FrameFiles::version(folder)?,
            iat: now,
            files,
        })
    }

    /// Signs it.
    ///
    /// # Errors
    /// When the key is none.
    pub fn sign(&self, key: &PrivateKey) -> anyhow::Result<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.public()?.id());
        let der = Zeroizing::new([&PKCS8[..], &key.0[..]].concat());
        Ok(jsonwebtoken::encode(
            &header,
            self,
            &EncodingKey::from_ed_der(&der),
        )?)
    }

    /// Reads a statement that one of `keys` signed.
    ///
    /// # Errors
    /// That none of them did.
    pub fn verify(jws: &str, keys: &[PublicKey]) -> anyhow::Result<Self> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        // A release does not expire: pages name it for as long as they like.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        for key in keys {
            let decoding = DecodingKey::from_ed_der(&key.0);
            if let Ok(token) = jsonwebtoken::decode::<Self>(jws.trim(), &decoding, &validation)
                && token.header.typ.as_deref() == Some(TYPE)
            {
                return Ok(token.claims);
            }
        }
        bail!("no release key that was given signed it")
    }

    /// Checks that a build is what was signed.
    ///
    /// # Errors
    /// Which file is not.
    pub fn holds_for(&self, folder: &Path) -> anyhow::Result<()> {
        let found = Self::of(folder, self.iat)?;
        ensure!(
            found.version == self.version,
            "the statement is of release {}, the build is {}",
            self.version,
            found.version
        );
        for (path, digest) in &found.files {
            ensure!(
                self.files.get(path) == Some(digest),
                "{path} is not what was signed"
            );
        }
        let missing = self
            .files
            .keys()
            .find(|path| !found.files.contains_key(*path));
        ensure!(
            missing.is_none(),
            "{} was signed and is not there",
            missing.map_or("", String::as_str)
        );
        Ok(())
    }
}

/// Checks a build against the statement in its folder.
///
/// # Errors
/// What does not hold, and what to do.
pub fn check(folder: &Path, keys: &[PublicKey]) -> anyhow::Result<Statement> {
    let (path, at) = (folder.join(FILE), folder.display());
    let jws = std::fs::read_to_string(path)
        .with_context(|| format!("{at} is not signed; run: token-vault releases sign"))?;
    let statement = Statement::verify(&jws, keys).with_context(|| format!("{at}/{FILE}"))?;
    statement.holds_for(folder).with_context(|| {
        format!("{at} is not the release that was signed; find out who changed it")
    })?;
    Ok(statement)
}

/// The builds in an archive: every folder in it, oldest name first.
///
/// # Errors
/// When it cannot be read.
pub fn archived(archive: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(archive)
        .with_context(|| format!("reading the archive {}", archive.display()))?;
    let mut folders = vec![];
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

/// The half that signs: 32 bytes, wiped.
pub struct PrivateKey(Zeroizing<[u8; 32]>);

impl PrivateKey {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(random::<32>()))
    }

    /// Reads PKCS#8 in PEM.
    ///
    /// # Errors
    /// That it is no Ed25519 key, without its text.
    pub fn parse(pem: &str) -> anyhow::Result<Self> {
        let body: Zeroizing<String> = Zeroizing::new(
            pem.lines()
                .filter(|line| !line.starts_with("-----"))
                .map(str::trim)
                .collect(),
        );
        let der = STANDARD.decode(body.as_str()).map(Zeroizing::new);
        let der = der.map_err(|_| anyhow::anyhow!("not a PEM file"))?;
        let seed = der
            .strip_prefix(&PKCS8)
            .and_then(|seed| seed.try_into().ok());
        let seed = seed.context("not an Ed25519 key in PKCS#8")?;
        Ok(Self(Zeroizing::new(seed)))
    }

    /// PKCS#8 in PEM.
    #[must_use]
    pub fn pem(&self) -> Zeroizing<String> {
        let der = Zeroizing::new([&PKCS8[..], &self.0[..]].concat());
        let body = Zeroizing::new(STANDARD.encode(&der[..]));
        Zeroizing::new(in_pem(&body))
    }

    /// The half that verifies.
    ///
    /// # Errors
    /// When it is no key; every 32 bytes are one.
    pub fn public(&self) -> anyhow::Result<PublicKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.0[..]);
        let pair = pair.map_err(|_| anyhow::anyhow!("not an Ed25519 key"))?;
        Ok(PublicKey(pair.public_key().as_ref().try_into()?))
    }
}

// RFC 7468 §10.
fn in_pem(body: &str) -> String {
    const LABEL: &str = "PRIVATE KEY";
    format!("-----BEGIN {LABEL}-----\n{body}\n-----END {LABEL}-----\n")
}

/// The half that verifies. It is written as base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The `kid` of what it signed: the first 16 hex digits of its SHA-256.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::digest(self.0);
        digest.iter().take(8).map(|b| format!("{b:02x}")).collect()
    }
}

impl std::str::FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or_else(|| {
            "a release key is 32 bytes in base64url, as `releases keygen` prints it".to_owned()
        })
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        Statement {
            version: "1".to_owned(),
            iat: 1_800_000_000,
            files: BTreeMap::from([("/v1/a.js".to_owned(), "sha384-x".to_owned())]),
        }
    }

    #[test]
    fn a_statement_verifies_under_the_key_that_signed_it_and_no_other() {
        let (key, other) = (PrivateKey::generate(), PrivateKey::generate());
        let jws = statement().sign(&key).expect("signs");
        let [public, stranger] = [&key, &other].map(|key| key.public().expect("a key"));
        let verify = |jws: &str, keys: &[PublicKey]| Statement::verify(jws, keys).ok();
        assert_eq!(
            verify(&jws, std::slice::from_ref(&public)),
            Some(statement())
        );
        // During a rotation both are known.
        assert_eq!(
            verify(&jws, &[stranger.clone(), public.clone()]),
            Some(statement())
        );
        assert_eq!(verify(&jws, &[stranger]), None);
        assert_eq!(verify(&jws, &[]), None);
        for (at, _) in jws.char_indices().step_by(7) {
            let mut changed = jws.clone();
            let other = if jws[at..].starts_with('A') { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            assert_eq!(
                verify(&changed, std::slice::from_ref(&public)),
                None,
                "{at}"
            );
        }
    }

    #[test]
    fn what_the_key_signed_for_something_else_is_no_release() {
        let key = PrivateKey::generate();
        let der = [&PKCS8[..], &key.0[..]].concat();
        let header = Header::new(Algorithm::EdDSA);
        let jws = jsonwebtoken::encode(&header, &statement(), &EncodingKey::from_ed_der(&der));
        let keys = [key.public().expect("a key")];
        assert!(Statement::verify(&jws.expect("signs"), &keys).is_err());
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key = PrivateKey::generate();
        let again = PrivateKey::parse(&key.pem()).expect("a key");
        let public = key.public().expect("a key");
        assert_eq!(again.public().expect("a key"), public);
        assert_eq!(public.to_string().parse(), Ok(public));
        assert!("AAAA".parse::<PublicKey>().is_err());
        for text in ["", &in_pem("AAAA"), "x"] {
            assert!(PrivateKey::parse(text).is_err());
        }
        // RFC 8410 §10.3, as openssl writes it.
        let rfc = in_pem("MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC");
        let public = PrivateKey::parse(&rfc).and_then(|key| key.public());
        assert_eq!(
            public.expect("a key").to_string(),
            "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE"
        );
    }
}
