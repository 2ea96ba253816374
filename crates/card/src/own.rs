//! Brands of a merchant's own: private-label cards, and ranges that no table lists, as an operator registers them for a
//! publishable key. And [`Kind`]: what a number is judged by, one of those or a listed brand.

use crate::Brand;
use crate::brand::{Facts, Lengths};

/// A brand of a merchant's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBrand<'a> {
    /// Its names, lengths and CVV, whose length is 0 where its cards have none.
    pub facts: Facts<'a>,
    /// First and last prefix of each of its ranges, as many digits each.
    pub prefixes: Vec<(&'a str, &'a str)>,
    /// After how many digits a space is shown.
    pub gaps: Lengths,
    /// Whether its numbers carry Luhn's check digit.
    pub luhn: bool,
}

impl OwnBrand<'_> {
    /// Whether a number that begins so is of this brand.
    #[must_use]
    pub fn holds(&self, digits: &str) -> bool {
        self.prefixes.iter().any(|(from, to)| {
            // Digits of one length have the order of the numbers they write.
            let head = digits.get(..from.len());
            head.is_some_and(|head| (*from..=*to).contains(&head))
        })
    }
}

/// First and last prefix of a range that is written `700600-700699`, or of one prefix alone.
#[must_use]
pub fn range(text: &str) -> (&str, &str) {
    text.split_once('-').unwrap_or((text, text))
}

/// What a number is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A brand of the tables.
    Listed(Brand),
    /// A brand of the merchant's own: it goes before those of the tables.
    Own(&'a OwnBrand<'a>),
}

impl From<Brand> for Kind<'_> {
    fn from(brand: Brand) -> Self {
        Self::Listed(brand)
    }
}

impl<'a> Kind<'a> {
    /// Of a whole or partial number, where the merchant has these brands.
    #[must_use]
    pub fn of(digits: &str, own: &'a [OwnBrand<'a>]) -> Self {
        match own.iter().find(|brand| brand.holds(digits)) {
            Some(brand) => Self::Own(brand),
            None => Self::Listed(Brand::of(digits)),
        }
    }

    /// What its cards look like.
    #[must_use]
    pub fn facts(self) -> &'a Facts<'a> {
        match self {
            Self::Listed(brand) => brand.facts(),
            Self::Own(brand) => &brand.facts,
        }
    }

    /// Whether no range tells whose the number is.
    #[must_use]
    pub fn is_unknown(self) -> bool {
        self == Self::Listed(Brand::Unknown)
    }

    /// The longest number.
    #[must_use]
    pub fn max_length(self) -> usize {
        self.facts().lengths.longest()
    }

    /// The longest CVV: where the brand is unknown it may have three digits or four.
    #[must_use]
    pub fn max_cvc_length(self) -> usize {
        if self.is_unknown() {
            4
        } else {
            usize::from(self.facts().cvc_length)
        }
    }

    /// Whether a number of `length` digits shows a space after `digits` of them.
    #[must_use]
    pub fn has_gap(self, length: usize, digits: usize) -> bool {
        match self {
            Self::Listed(brand) => brand.gaps(length).contains(&digits),
            Self::Own(brand) => brand.gaps.contains(digits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cvc;
    use crate::number::{self, State};

    fn store_card() -> [OwnBrand<'static>; 1] {
        [OwnBrand {
            facts: Facts {
                id: "store",
                name: "Store Card",
                lengths: Lengths::of(&[15]),
                cvc_length: 0,
                cvc_label: "",
            },
            prefixes: vec![range("700600-700699"), range("123456")],
            gaps: Lengths::of(&[6, 10]),
            luhn: false,
        }]
    }

    #[test]
    fn it_is_judged_by_what_was_registered() {
        let own = store_card();
        for (digits, expected) in [
            ("700601", State::Incomplete),
            ("700699000000001", State::Valid),
            ("123456000000000", State::Valid),
            ("7006990000000011", State::Invalid),
            // Its neighbours are unknown, and have a check digit.
            ("700700000000001", State::Incomplete),
            ("4242424242424242", State::Valid),
        ] {
            assert_eq!(
                number::state_of(digits, Kind::of(digits, &own)),
                expected,
                "{digits}"
            );
        }
        let kind = Kind::of("700650", &own);
        assert_eq!((kind.facts().id, kind.max_length()), ("store", 15));
        assert_eq!(
            number::group_of("700650123456789", kind),
            "700650 1234 56789"
        );
        assert_eq!(cvc::state("", kind), cvc::State::Valid);
        assert_eq!(cvc::state("1", kind), cvc::State::Invalid);
        assert!(Kind::of("70065", &own).is_unknown());
    }
}
