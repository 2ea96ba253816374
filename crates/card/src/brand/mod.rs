//! Card brands: which a number belongs to, which it may still become, and which networks it may run on.
//!
//! The facts of each brand are a table ([`facts`]), its issuer ranges another ([`ranges`], with their published
//! sources). Where ranges overlap the longer prefix wins, so a range table stays a table and needs no order. A card
//! that two networks carry (a co-badge) has its own brand and a further one from the table of co-badges.

mod facts;
mod ranges;
mod set;

pub use facts::{Brand, Facts, Lengths};
pub use set::Brands;

use ranges::{CO_BADGES, Head, RANGES};

impl Brand {
    /// The brand of a whole or partial number; [`Brand::Unknown`] until the digits settle it.
    #[must_use]
    pub fn of(digits: &str) -> Self {
        let head = Head::of(digits);
        RANGES
            .iter()
            .filter(|range| range.holds(&head))
            .max_by_key(|range| range.prefix())
            .map_or(Self::Unknown, |range| range.brand)
    }

    /// The brands that a number which begins so may have: that of the longest prefix typed so far, and those that
    /// more digits may still reveal. All of them while nothing is typed.
    #[must_use]
    pub fn possible(digits: &str) -> Brands {
        let (settled, head) = (Self::of(digits), Head::of(digits));
        RANGES
            .iter()
            .filter(|range| range.prefix() > digits.len() && range.may_hold(&head))
            .map(|range| range.brand)
            .chain((settled != Self::Unknown).then_some(settled))
            .collect()
    }

    /// The networks that a card with this number may run on: its brand and, for a co-badge, the further ones. Empty
    /// while the brand is unknown.
    ///
    /// No scheme publishes all its co-badged ranges, so this is what is public and not all there is.
    #[must_use]
    pub fn networks(digits: &str) -> Brands {
        let brand = Self::of(digits);
        if brand == Self::Unknown {
            return Brands::default();
        }
        let head = Head::of(digits);
        CO_BADGES
            .iter()
            .filter(|range| range.holds(&head))
            .map(|range| range.brand)
            .chain([brand])
            .collect()
    }

    /// Every issuer range as first prefix, last prefix and brand, and those of co-badges: what another language needs to
    /// follow the same rules (`checkout-wasm/src/tables.rs`).
    pub fn all_ranges() -> [impl Iterator<Item = (u32, u32, Self)>; 2] {
        [RANGES, CO_BADGES].map(|ranges| {
            ranges.iter().map(|range| {
                let (from, to) = range.bounds();
                (from, to, range.brand)
            })
        })
    }

    /// The brand with this wire name.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|brand| brand.facts().id == id)
    }

    /// Where spaces go for a number of this length: positions after which one is shown. Diners is 4-6-4 at 14 digits
    /// and 4-4-4-4 above.
    #[must_use]
    pub fn gaps(self, length: usize) -> &'static [usize] {
        let by_six = match self {
            Self::Diners => length <= 14,
            Self::Amex | Self::Uatp => true,
            _ => false,
        };
        if by_six { &[4, 10] } else { &[4, 8, 12, 16] }
    }

    /// The longest number of this brand.
    #[must_use]
    pub fn max_length(self) -> usize {
        self.facts().lengths.longest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brands_by_range() {
        for (digits, brand) in [
            ("4242", Brand::Visa),
            ("4", Brand::Visa),
            ("5555", Brand::Mastercard),
            ("2223", Brand::Mastercard),
            ("2720", Brand::Mastercard),
            ("2721", Brand::Unknown),
            ("3782", Brand::Amex),
            ("6011", Brand::Discover),
            ("3056", Brand::Diners),
            ("3530", Brand::Jcb),
            ("6200", Brand::UnionPay),
            ("6304", Brand::Maestro),
            ("607012", Brand::RuPay),
            ("652150", Brand::RuPay),
            ("8172001", Brand::RuPay),
            ("6362970", Brand::Elo),
            ("4011780", Brand::Elo),
            ("6062820", Brand::Hipercard),
            ("637095", Brand::Hiper),
            ("63737423", Brand::Hiper),
            ("2200", Brand::Mir),
            ("9792", Brand::Troy),
            ("5019", Brand::Dankort),
            ("6703", Brand::Bancontact),
            ("968201", Brand::Mada),
            ("9704", Brand::Napas),
            ("9860", Brand::Humo),
            ("8600", Brand::Uzcard),
            ("357111", Brand::LankaPay),
            ("", Brand::Unknown),
            ("9", Brand::Unknown),
        ] {
            assert_eq!(Brand::of(digits), brand, "{digits}");
        }
    }

    #[test]
    fn more_digits_rule_brands_out() {
        let possible = |digits| {
            Brand::possible(digits)
                .into_iter()
                .map(|brand| brand.facts().id)
                .collect::<Vec<_>>()
        };
        assert_eq!(Brand::possible("").len(), Brand::ALL.len() - 2);
        assert_eq!(possible("34"), ["amex"]);
        assert_eq!(possible("35"), ["jcb", "lankapay"]);
        assert_eq!(possible("3571"), ["jcb", "lankapay"]);
        assert_eq!(possible("3572"), ["jcb"]);
        assert_eq!(possible("424242"), ["visa"]);
        assert_eq!(possible("970"), ["napas"]);
        assert!(possible("999").is_empty());
        assert!(possible("4").contains(&"visa") && possible("4").contains(&"elo"));
    }

    #[test]
    fn a_co_badge_names_both_networks() {
        for (digits, expected) in [
            (
                "4000002500001001",
                vec![Brand::Visa, Brand::CartesBancaires],
            ),
            (
                "5555552500001001",
                vec![Brand::Mastercard, Brand::CartesBancaires],
            ),
            ("49701012", vec![Brand::Visa, Brand::CartesBancaires]),
            ("4571100000000000", vec![Brand::Visa, Brand::Dankort]),
            ("4000050360000001", vec![Brand::Visa, Brand::EftposAu]),
            ("4406471234567890", vec![Brand::Visa, Brand::Mada]),
            ("6703444444444449", vec![Brand::Maestro, Brand::Bancontact]),
            ("4242424242424242", vec![Brand::Visa]),
            ("4000", vec![Brand::Visa]),
            ("9", vec![]),
        ] {
            let networks = Brand::networks(digits);
            assert_eq!(networks, expected.into_iter().collect(), "{digits}");
        }
    }

    #[test]
    fn every_brand_is_found_by_its_id() {
        for brand in Brand::ALL {
            let expected = (brand != Brand::Unknown).then_some(brand);
            let found = Brand::from_id(brand.facts().id).filter(|brand| *brand != Brand::Unknown);
            assert_eq!(found, expected);
        }
        assert_eq!(Brand::from_id("nonesuch"), None);
    }

    #[test]
    fn tables_are_sound() {
        for (at, brand) in Brand::ALL.into_iter().enumerate() {
            assert_eq!(brand as usize, at);
            let facts = brand.facts();
            assert!(!facts.name.is_empty() && (3..=4).contains(&facts.cvc_length));
            assert!(
                facts
                    .id
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            assert!(facts.lengths.shortest() >= 12 && facts.lengths.longest() <= 19);
            let has_range = RANGES
                .iter()
                .chain(CO_BADGES)
                .any(|range| range.brand == brand);
            assert_eq!(has_range, brand != Brand::Unknown, "{brand:?}");
        }
        for range in RANGES.iter().chain(CO_BADGES) {
            let (from, to) = range.bounds();
            assert_eq!(from.ilog10(), to.ilog10(), "{from}-{to}");
        }
        // A range of a co-badge adds a network to a brand; it does not repeat it.
        for range in CO_BADGES {
            assert_ne!(Brand::of(&range.bounds().0.to_string()), range.brand);
        }
        assert!(Brand::ALL.len() > 36);
    }
}
