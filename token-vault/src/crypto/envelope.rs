//! Envelope encryption: a random 256-bit key per record, sealed with AES-256-GCM, wrapped by a tenant key, wrapped by
//! the root.
//!
//! A sealed value is `version (1) || nonce (12) || commitment (32) || ciphertext and tag`. AES-GCM does not commit to
//! its key, so a commitment (HKDF of the key) is checked before opening. The AAD says where the value belongs, so a
//! value that is moved to another row, column, tenant or mode does not open.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use pan::{CardData, Country, Error as CardError, HolderName, Pan, PostalCode};
use subtle::ConstantTimeEq as _;
use vault_api::keys::Mode;
use zeroize::Zeroizing;

use super::{CannotOpen, Key, Source, length_prefixed, random};

const VERSION: u8 = 1;
const NONCE: usize = 12;
const COMMITMENT: usize = 32;

/// Seals under `key`: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce under a key derived for this purpose.
#[must_use]
pub fn seal(key: &Key, aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let (encryption, commitment) = keys_of(key);
    let nonce: [u8; NONCE] = random();
    #[expect(clippy::expect_used, reason = "AES-GCM fails only above 64 GiB")]
    let sealed = Aes256Gcm::new(&(*encryption).into())
        .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad })
        .expect("short messages seal");
    [&[VERSION][..], &nonce, &commitment[..], &sealed].concat()
}

/// Opens what [`seal`] made with the same key and AAD.
///
/// # Errors
/// [`CannotOpen`].
pub fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
    let (version, rest) = sealed.split_first().ok_or(CannotOpen)?;
    let (nonce, rest) = rest.split_at_checked(NONCE).ok_or(CannotOpen)?;
    let (committed, sealed) = rest.split_at_checked(COMMITMENT).ok_or(CannotOpen)?;
    let (encryption, commitment) = keys_of(key);
    if *version != VERSION || !bool::from(commitment[..].ct_eq(committed)) {
        return Err(CannotOpen);
    }
    let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| CannotOpen)?;
    let plain = Aes256Gcm::new(&(*encryption).into())
        .decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad })
        .map_err(|_| CannotOpen)?;
    Ok(Zeroizing::new(plain))
}

fn keys_of(key: &Key) -> (Key, Key) {
    let source = Source::new(&key[..]);
    (
        source.derive(&[b"cardseal/encrypt/1"]),
        source.derive(&[b"cardseal/commit/1"]),
    )
}

/// A tenant's key: wraps record keys.
#[derive(Clone)]
pub struct TenantKey {
    /// Names it in each record.
    pub id: String,
    /// The merchant.
    pub tenant: String,
    /// Test or live.
    pub mode: Mode,
    pub(crate) key: Key,
}

/// Where a sealed card belongs. A token binds its expiry, a grant too; a stored card has none (0).
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// `token`, `grant` or `stored_card`.
    pub kind: &'static str,
    /// The record's id (public half).
    pub record: &'a str,
    /// When the record ends, Unix seconds.
    pub expires_at: i64,
}

/// A card at rest: what a row holds.
#[derive(Clone)]
pub struct SealedCard {
    /// The tenant key that wraps the record key.
    pub key_id: String,
    /// The record key, wrapped.
    pub wrapped_key: Vec<u8>,
    /// The number, sealed under the record key.
    pub number: Vec<u8>,
    /// The holder's name, sealed under the record key.
    pub name: Option<Vec<u8>>,
    /// The holder's postal code and country, sealed under the record key.
    pub address: Option<Vec<u8>>,
}

/// What is sealed of a card, opened.
pub struct OpenedCard {
    /// The number.
    pub number: Pan,
    /// Whose it is.
    pub holder: Holder,
}

/// What the buyer told of the card's holder.
#[derive(Default)]
pub struct Holder {
    /// The name.
    pub name: Option<HolderName>,
    /// The postal code.
    pub postal_code: Option<PostalCode>,
    /// The country.
    pub country: Option<Country>,
}

impl Holder {
    /// What a card brings of its holder, taken out of it.
    #[must_use]
    pub fn take(card: &mut CardData) -> Self {
        Self {
            name: card.name.take(),
            postal_code: card.postal_code.take(),
            country: card.country.take(),
        }
    }

    // `country LF postal code`; neither holds a line feed.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the postal code is written to be encrypted at rest"
    )]
    fn address(&self) -> Option<Zeroizing<String>> {
        let country = self.country.as_ref().map_or("", Country::as_str);
        let code = self.postal_code.as_ref().map_or("", PostalCode::expose);
        let any = self.country.is_some() || self.postal_code.is_some();
        any.then(|| Zeroizing::new(format!("{country}\n{code}")))
    }

    fn with_address(self, text: &str) -> Result<Self, CannotOpen> {
        let (country, code) = text.split_once('\n').ok_or(CannotOpen)?;
        let there = |text: &str| !text.is_empty();
        let country = Some(country).filter(|c| there(c)).map(Country::parse);
        let code = Some(code).filter(|c| there(c)).map(PostalCode::parse);
        Ok(Self {
            country: country.transpose().map_err(no_card)?,
            postal_code: code.transpose().map_err(no_card)?,
            ..self
        })
    }
}

impl TenantKey {
    /// Seals a card for a place.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the number and the name are encrypted at rest"
    )]
    pub fn seal_card(&self, place: Place<'_>, number: &Pan, holder: &Holder) -> SealedCard {
        let record_key: Key = Zeroizing::new(random());
        let (name, address) = (&holder.name, holder.address());
        let field = number_field(name.is_some(), address.is_some());
        let sealed = |field: &str, text: &str| {
            seal(&record_key, &self.data_aad(place, field), text.as_bytes())
        };
        SealedCard {
            key_id: self.id.clone(),
            wrapped_key: seal(&self.key, &self.wrap_aad(place), &record_key[..]),
            number: sealed(field, number.expose()),
            name: name.as_ref().map(|name| sealed("name", name.expose())),
            address: address.map(|address| sealed("address", &address)),
        }
    }

    /// Opens a card that was sealed for this very place.
    ///
    /// # Errors
    /// [`CannotOpen`], also when what opens is no card.
    pub fn open_card(
        &self,
        place: Place<'_>,
        sealed: &SealedCard,
    ) -> Result<OpenedCard, CannotOpen> {
        let record_key = open(&self.key, &self.wrap_aad(place), &sealed.wrapped_key)?;
        let record_key: Key =
            Zeroizing::new(record_key.as_slice().try_into().map_err(|_| CannotOpen)?);
        let field = number_field(sealed.name.is_some(), sealed.address.is_some());
        let opened =
            |field: &str, sealed: &[u8]| open(&record_key, &self.data_aad(place, field), sealed);
        let number = opened(field, &sealed.number)?;
        let number = text(&number).and_then(|t| Pan::of_kept(t).map_err(no_card))?;
        let mut holder = Holder::default();
        if let Some(sealed) = &sealed.name {
            let name = opened("name", sealed)?;
            holder.name = Some(text(&name).and_then(|t| HolderName::parse(t).map_err(no_card))?);
        }
        if let Some(sealed) = &sealed.address {
            holder = holder.with_address(text(&opened("address", sealed)?)?)?;
        }
        Ok(OpenedCard { number, holder })
    }

    /// Wraps a record key that this key wraps under another generation of the same tenant's. The card stays as it is.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn rewrap(
        &self,
        to: &Self,
        place: Place<'_>,
        wrapped: &[u8],
    ) -> Result<Vec<u8>, CannotOpen> {
        if (&self.tenant, self.mode) != (&to.tenant, to.mode) {
            return Err(CannotOpen);
        }
        let record_key = open(&self.key, &self.wrap_aad(place), wrapped)?;
        let record_key: Key =
            Zeroizing::new(record_key.as_slice().try_into().map_err(|_| CannotOpen)?);
        Ok(seal(&to.key, &to.wrap_aad(place), &record_key[..]))
    }

    fn wrap_aad(&self, place: Place<'_>) -> Vec<u8> {
        length_prefixed(&[
            b"cardseal/record-key/1",
            place.kind.as_bytes(),
            place.record.as_bytes(),
            self.id.as_bytes(),
            self.tenant.as_bytes(),
            self.mode.as_str().as_bytes(),
        ])
    }

    fn data_aad(&self, place: Place<'_>, field: &str) -> Vec<u8> {
        length_prefixed(&[
            b"cardseal/data/1",
            b"AES-256-GCM",
            self.mode.as_str().as_bytes(),
            self.tenant.as_bytes(),
            place.kind.as_bytes(),
            place.record.as_bytes(),
            field.as_bytes(),
            &place.expires_at.to_be_bytes(),
        ])
    }
}

// The number's AAD says what stands beside it, so that a name or an address cannot be taken away or added.
fn number_field(named: bool, addressed: bool) -> &'static str {
    match (named, addressed) {
        (false, false) => "number",
        (true, false) => "number+name",
        (false, true) => "number+address",
        (true, true) => "number+name+address",
    }
}

fn text(bytes: &[u8]) -> Result<&str, CannotOpen> {
    std::str::from_utf8(bytes).map_err(|_| CannotOpen)
}

fn no_card(_: CardError) -> CannotOpen {
    CannotOpen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantKey {
        TenantKey {
            id: "tk_1".into(),
            tenant: name.into(),
            mode: Mode::Test,
            key: Zeroizing::new([7; 32]),
        }
    }

    fn ada() -> Holder {
        Holder {
            name: HolderName::parse("Ada").ok(),
            postal_code: PostalCode::parse("SW1A 1AA").ok(),
            country: Country::parse("GB").ok(),
        }
    }

    const HERE: Place<'_> = Place {
        kind: "token",
        record: "tok_a",
        expires_at: 100,
    };

    #[test]
    fn what_is_sealed_opens_and_nothing_shows() {
        let pan = Pan::parse("4242424242424242").expect("a test card");
        let sealed = tenant("mer_a").seal_card(HERE, &pan, &ada());
        let opened = tenant("mer_a").open_card(HERE, &sealed).expect("opens");
        assert_eq!(opened.number.last4(), "4242");
        assert!(opened.holder.name.is_some());
        assert_eq!(opened.holder.country, Country::parse("GB").ok());
        assert!(!sealed.number.windows(6).any(|w| w == b"424242"));
    }

    #[test]
    fn a_card_opens_only_in_its_place() {
        let pan = Pan::parse("4242424242424242").expect("a test card");
        let (a, b) = (tenant("mer_a"), tenant("mer_b"));
        let sealed = a.seal_card(HERE, &pan, &Holder::default());
        let other = a.seal_card(
            Place {
                record: "tok_b",
                ..HERE
            },
            &pan,
            &Holder::default(),
        );
        assert!(
            a.open_card(
                Place {
                    record: "tok_b",
                    ..HERE
                },
                &sealed
            )
            .is_err()
        );
        assert!(
            a.open_card(
                Place {
                    kind: "grant",
                    ..HERE
                },
                &sealed
            )
            .is_err()
        );
        assert!(
            a.open_card(
                Place {
                    expires_at: 101,
                    ..HERE
                },
                &sealed
            )
            .is_err()
        );
        assert!(b.open_card(HERE, &sealed).is_err());
        let mixed = SealedCard {
            wrapped_key: other.wrapped_key,
            ..sealed.clone()
        };
        assert!(a.open_card(HERE, &mixed).is_err());
        let named = a.seal_card(HERE, &pan, &ada());
        let nameless = SealedCard {
            name: None,
            ..named.clone()
        };
        assert!(a.open_card(HERE, &nameless).is_err());
        let nowhere = SealedCard {
            address: None,
            ..named.clone()
        };
        assert!(a.open_card(HERE, &nowhere).is_err());
        let rewrapped = |to: &TenantKey| a.rewrap(to, HERE, &named.wrapped_key);
        let next = TenantKey {
            id: "tk_2".into(),
            key: Zeroizing::new([8; 32]),
            ..a.clone()
        };
        let moved = SealedCard {
            key_id: "tk_2".into(),
            wrapped_key: rewrapped(&next).expect("rewraps"),
            ..named.clone()
        };
        assert!(next.open_card(HERE, &moved).is_ok());
        assert!(a.open_card(HERE, &moved).is_err());
        assert!(rewrapped(&b).is_err());
        let mut cut = sealed;
        cut.number.truncate(20);
        assert!(a.open_card(HERE, &cut).is_err());
    }

    #[test]
    fn any_flipped_bit_is_found() {
        let key = Zeroizing::new([1; 32]);
        let sealed = seal(&key, b"here", b"plain");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(
                open(&key, b"here", &changed).err(),
                Some(CannotOpen),
                "byte {at}"
            );
        }
        assert!(open(&Zeroizing::new([2; 32]), b"here", &sealed).is_err());
        assert!(open(&key, b"there", &sealed).is_err());
        assert!(open(&key, b"here", b"").is_err());
    }
}
