//! The secret types: [`Pan`], [`Cvv`], [`HolderName`], [`PostalCode`] and [`CardData`] that holds them.
//!
//! A card number cannot leak by type. These types have private bytes, are zeroised on drop, and have **no** Debug,
//! Display, Clone, Deref, AsRef, Serialize or PartialEq. The one way out is `expose`, which clippy refuses
//! (`disallowed-methods`) unless the call site argues its case with `#[expect(.., reason = "..")]`.
//! The one way in is `parse`, so a value that exists is valid. Errors are unit variants: they cannot carry input.
//!
//! ```compile_fail,E0277
//! #[derive(Debug)]
//! struct Request { number: pan::Pan }
//! ```
//! ```compile_fail,E0599
//! fn copy(cvv: pan::Cvv) { drop(cvv.clone()); }
//! ```
//! ```compile_fail
//! fn forge() -> pan::Pan { pan::Pan([0; 19]) }
//! ```
//! The same functions with an allowed body compile, so the three above fail for their own reason:
//! ```
//! struct Request { number: pan::Pan }
//! fn take(cvv: pan::Cvv) { drop(cvv); }
//! fn parse() -> Result<pan::Pan, pan::Error> { pan::Pan::parse("4242424242424242") }
//! ```

use card::own::Kind;
use card::{Brand, Expiry, cvc, number};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A primary account number: 12-19 digits, a length and the check digit of its brand.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Pan(Digits<19>);

/// A card verification value: 3 or 4 digits. PCI DSS 3.3.1: never kept after authorisation.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Cvv(Digits<4>);

/// The card holder's name, as typed: 1-100 characters, no control characters, not a card number.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct HolderName(String);

/// The card holder's postal code, as typed: 1-16 letters, digits, spaces and hyphens, not a card number.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PostalCode(String);

/// The card holder's country: ISO 3166-1 alpha-2, upper case. Where a card is billed is no secret, so it can print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country([u8; 2]);

/// A whole card as a buyer gives it.
pub struct CardData {
    /// The number.
    pub number: Pan,
    /// Expiry month.
    pub expiry: Expiry,
    /// The CVV, when it was asked for.
    pub cvc: Option<Cvv>,
    /// The holder's name, when it was asked for.
    pub name: Option<HolderName>,
    /// The holder's postal code, when it was asked for.
    pub postal_code: Option<PostalCode>,
    /// The holder's country, when it was asked for.
    pub country: Option<Country>,
    /// The network that the buyer chose, one of [`Pan::networks`].
    pub network: Option<Brand>,
}

/// Why something is not card data. Unit variants: an error never carries the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Not a card number: length, brand or check digit.
    Number,
    /// Not a CVV for this card.
    Cvc,
    /// Not a holder name.
    Name,
    /// Not a postal code.
    PostalCode,
    /// Not a country's two letters.
    Country,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Number => "not a valid card number",
            Self::Cvc => "not a valid CVV for this card",
            Self::Name => "not a valid card holder name",
            Self::PostalCode => "not a valid postal code",
            Self::Country => "not a country's two letters",
        })
    }
}

impl std::error::Error for Error {}

impl Pan {
    /// Parses digits, and nothing but digits: the caller strips what people type between them.
    ///
    /// # Errors
    /// [`Error::Number`].
    pub fn parse(digits: &str) -> Result<Self, Error> {
        Self::parse_as(digits, Brand::of(digits).into())
    }

    /// Parses the number of a card of this kind, which may be a brand of the merchant's own.
    ///
    /// # Errors
    /// [`Error::Number`].
    pub fn parse_as(digits: &str, kind: Kind<'_>) -> Result<Self, Error> {
        match number::state_of(digits, kind) {
            number::State::Valid if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Digits::new(digits).map(Self).ok_or(Error::Number)
            }
            _ => Err(Error::Number),
        }
    }

    /// A number that was parsed before it was kept: the rules that it was judged by may have ended since.
    ///
    /// # Errors
    /// [`Error::Number`] for what is not 12-19 digits.
    pub fn of_kept(digits: &str) -> Result<Self, Error> {
        let fits = number::LENGTHS.contains(&digits.len());
        if fits && digits.bytes().all(|b| b.is_ascii_digit()) {
            Digits::new(digits).map(Self).ok_or(Error::Number)
        } else {
            Err(Error::Number)
        }
    }

    /// The digits. Each use is argued at its site.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// The brand.
    #[must_use]
    pub fn brand(&self) -> Brand {
        Brand::of(self.0.as_str())
    }

    /// The networks that this card may be paid through, first its own brand: several on a co-badged card (EU 2015/751
    /// art. 8), none that we know where the brand is unknown.
    #[must_use]
    pub fn networks(&self) -> Vec<Brand> {
        let own = self.brand();
        let known = (own != Brand::Unknown).then_some(own);
        let all = Brand::networks(self.0.as_str());
        let further = all.into_iter().filter(|network| *network != own);
        known.into_iter().chain(further).collect()
    }

    /// The last four digits (PCI DSS 3.4.1 allows them to be shown).
    #[must_use]
    pub fn last4(&self) -> &str {
        number::last4(self.0.as_str())
    }

    /// The first six digits, or eight of a number of 16 and more (PCI DSS 3.4.1, scheme truncation rules).
    #[must_use]
    pub fn bin(&self) -> &str {
        let digits = self.0.as_str();
        &digits[..if digits.len() >= 16 { 8 } else { 6 }]
    }

    /// Whether this is one of the documented test numbers.
    #[must_use]
    pub fn is_test_number(&self) -> bool {
        card::test_cards::is_test_number(self.0.as_str())
    }

    /// The risk that a published test number stands for.
    #[must_use]
    pub fn test_risk(&self) -> Option<card::test_cards::Risk> {
        card::test_cards::risk(self.0.as_str())
    }

    /// Whether this is a published test number of which the money is available at once.
    #[must_use]
    pub fn test_available_at_once(&self) -> bool {
        card::test_cards::is_available_at_once(self.0.as_str())
    }
}

impl Cvv {
    /// Parses the CVV of a card of `brand`.
    ///
    /// # Errors
    /// [`Error::Cvc`].
    pub fn parse(digits: &str, brand: Brand) -> Result<Self, Error> {
        Self::parse_as(digits, brand.into())
    }

    /// Parses the CVV of a card of this kind, which may be a brand of the merchant's own.
    ///
    /// # Errors
    /// [`Error::Cvc`], also when there is none.
    pub fn parse_as(digits: &str, kind: Kind<'_>) -> Result<Self, Error> {
        match cvc::state(digits, kind) {
            cvc::State::Valid if !digits.is_empty() => {
                Digits::new(digits).map(Self).ok_or(Error::Cvc)
            }
            _ => Err(Error::Cvc),
        }
    }

    /// Whether it is one of a card of `brand`, by its length.
    #[must_use]
    pub fn fits(&self, brand: Brand) -> bool {
        cvc::state(self.0.as_str(), brand.into()) == cvc::State::Valid
    }

    /// The digits. Each use is argued at its site.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl HolderName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`Error::Name`] when empty, over 100 characters, with control characters, or holding a card number: people
    /// do type it into the wrong field.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let fits = !text.is_empty()
            && text.chars().nth(100).is_none()
            && !text.chars().any(char::is_control);
        if fits && !card::filter::holds_card_number(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Name)
        }
    }

    /// The name. Each use is argued at its site.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PostalCode {
    /// Parses a postal code. Which form a country's has is the frame's to say: here it must only be none of what does
    /// harm elsewhere.
    ///
    /// # Errors
    /// [`Error::PostalCode`] when empty, over 16 characters, of other characters, or holding a card number.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let fits = (1..=16).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-'));
        if fits && !card::filter::holds_card_number(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::PostalCode)
        }
    }

    /// The code. Each use is argued at its site.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Country {
    /// Parses two upper-case letters.
    ///
    /// # Errors
    /// [`Error::Country`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text.as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => Ok(Self([*a, *b])),
            _ => Err(Error::Country),
        }
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Up to `N` ASCII digits, inline so that no reallocation leaves a copy behind.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Digits<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Digits<N> {
    fn new(digits: &str) -> Option<Self> {
        let mut bytes = [0; N];
        bytes
            .get_mut(..digits.len())?
            .copy_from_slice(digits.as_bytes());
        Some(Self {
            bytes,
            len: digits.len(),
        })
    }

    fn as_str(&self) -> &str {
        // Only `new` writes, from a &str whose callers proved it to be ASCII digits.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "the tests look inside the types they test"
    )]
    use super::*;
    use static_assertions::assert_not_impl_any;

    assert_not_impl_any!(Pan: std::fmt::Debug, std::fmt::Display, Clone, Copy, PartialEq, std::ops::Deref, AsRef<str>, AsRef<[u8]>, ToString);
    assert_not_impl_any!(Cvv: std::fmt::Debug, std::fmt::Display, Clone, Copy, PartialEq, std::ops::Deref, AsRef<str>, AsRef<[u8]>, ToString);
    assert_not_impl_any!(HolderName: std::fmt::Debug, std::fmt::Display, Clone, Copy, PartialEq, std::ops::Deref, AsRef<str>, ToString);
    assert_not_impl_any!(PostalCode: std::fmt::Debug, std::fmt::Display, Clone, Copy, PartialEq, std::ops::Deref, AsRef<str>, ToString);
    assert_not_impl_any!(CardData: std::fmt::Debug, Clone);

    #[test]
    fn a_valid_number_parses() {
        let pan = Pan::parse("4242424242424242").unwrap();
        assert_eq!(
            (pan.expose(), pan.last4(), pan.bin()),
            ("4242424242424242", "4242", "42424242")
        );
        assert_eq!(pan.brand(), Brand::Visa);
        assert_eq!(Pan::parse("378282246310005").unwrap().bin(), "378282");
    }

    #[test]
    fn nothing_else_parses() {
        for text in [
            "",
            "4242",
            "4242424242424241",
            "4242 4242 4242 4242",
            "42424242424242424242",
            "４２４２４２４２",
        ] {
            assert_eq!(Pan::parse(text).err(), Some(Error::Number), "{text}");
        }
        assert!(Cvv::parse("123", Brand::Amex).is_err());
        assert!(Cvv::parse("12345", Brand::Unknown).is_err());
        assert!(Cvv::parse("1234", Brand::Amex).is_ok());
    }

    #[test]
    fn a_name_is_not_a_number() {
        assert!(HolderName::parse("4242 4242 4242 4242").is_err());
        assert!(HolderName::parse("Ada\nLovelace").is_err());
        assert!(HolderName::parse(" ").is_err());
        assert_eq!(
            HolderName::parse(" Ada Lovelace ").unwrap().expose(),
            "Ada Lovelace"
        );
    }

    #[test]
    fn a_postal_code_is_short_and_a_country_two_letters() {
        for text in [
            "",
            " ",
            "4242 4242 4242 4242",
            "12;34",
            "12345678901234567",
            "１２３",
        ] {
            assert_eq!(
                PostalCode::parse(text).err(),
                Some(Error::PostalCode),
                "{text}"
            );
        }
        assert_eq!(
            PostalCode::parse(" SW1A 1AA ").unwrap().expose(),
            "SW1A 1AA"
        );
        for text in ["", "de", "DEU", "D1", "ÄÖ"] {
            assert_eq!(Country::parse(text).err(), Some(Error::Country), "{text}");
        }
        assert_eq!(Country::parse("DE").unwrap().as_str(), "DE");
    }

    #[test]
    fn a_dropped_number_is_wiped() {
        let mut pan = Pan::parse("4242424242424242").unwrap();
        pan.zeroize();
        assert_eq!(pan.expose(), "");
    }
}
