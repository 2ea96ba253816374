//! Card brands: issuer ranges, lengths, grouping, CVV length and label.
//!
//! Ranges are those the schemes publish; where two overlap the longer prefix wins, so a range table stays a table
//! and needs no order.

/// A card brand. `Unknown` is a number whose range we do not list: it may still be a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Brand {
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
    /// American Express.
    Amex,
    /// Discover.
    Discover,
    /// Diners Club International.
    Diners,
    /// JCB.
    Jcb,
    /// China UnionPay.
    UnionPay,
    /// Maestro.
    Maestro,
    /// RuPay (India).
    RuPay,
    /// Elo (Brazil).
    Elo,
    /// Hipercard (Brazil).
    Hipercard,
    /// Mir.
    Mir,
    /// Verve (Nigeria).
    Verve,
    /// Troy (Türkiye).
    Troy,
    /// UATP (airlines).
    Uatp,
    /// No listed range.
    Unknown,
}

/// What a brand's numbers look like.
#[derive(Debug)]
pub struct Facts {
    /// The wire name, as Stripe.js spells it where it has one.
    pub id: &'static str,
    /// The name a buyer knows.
    pub name: &'static str,
    /// Lengths of a whole number, ascending.
    pub lengths: &'static [usize],
    /// Positions after which a space is shown.
    pub gaps: &'static [usize],
    /// Digits of the CVV.
    pub cvc_length: usize,
    /// What the brand calls its CVV.
    pub cvc_label: &'static str,
}

const FOURS: &[usize] = &[4, 8, 12, 16];
const AMEX_GAPS: &[usize] = &[4, 10];

macro_rules! facts {
    ($id:literal, $name:literal, $lengths:expr, $gaps:expr, $cvc:literal, $label:literal) => {
        Facts {
            id: $id,
            name: $name,
            lengths: &$lengths,
            gaps: $gaps,
            cvc_length: $cvc,
            cvc_label: $label,
        }
    };
}

static VISA: Facts = facts!("visa", "Visa", [13, 16, 19], FOURS, 3, "CVV");
static MASTERCARD: Facts = facts!("mastercard", "Mastercard", [16], FOURS, 3, "CVC");
static AMEX: Facts = facts!("amex", "American Express", [15], AMEX_GAPS, 4, "CID");
static DISCOVER: Facts = facts!("discover", "Discover", [16, 19], FOURS, 3, "CID");
static DINERS: Facts = facts!("diners", "Diners Club", [14, 16, 19], AMEX_GAPS, 3, "CVV");
static JCB: Facts = facts!("jcb", "JCB", [16, 17, 18, 19], FOURS, 3, "CVV");
static UNIONPAY: Facts = facts!("unionpay", "UnionPay", [16, 17, 18, 19], FOURS, 3, "CVN");
static MAESTRO: Facts = facts!(
    "maestro",
    "Maestro",
    [12, 13, 14, 15, 16, 17, 18, 19],
    FOURS,
    3,
    "CVC"
);
static RUPAY: Facts = facts!("rupay", "RuPay", [16], FOURS, 3, "CVV");
static ELO: Facts = facts!("elo", "Elo", [16], FOURS, 3, "CVE");
static HIPERCARD: Facts = facts!("hipercard", "Hipercard", [16], FOURS, 3, "CVC");
static MIR: Facts = facts!("mir", "Mir", [16, 17, 18, 19], FOURS, 3, "CVP2");
static VERVE: Facts = facts!("verve", "Verve", [16, 18, 19], FOURS, 3, "CVV");
static TROY: Facts = facts!("troy", "Troy", [16], FOURS, 3, "CVV");
static UATP: Facts = facts!("uatp", "UATP", [15], AMEX_GAPS, 3, "CVV");
static UNKNOWN: Facts = facts!(
    "unknown",
    "Card",
    [12, 13, 14, 15, 16, 17, 18, 19],
    FOURS,
    3,
    "CVC"
);

/// Inclusive prefix ranges. `digits` is how many leading digits the bounds have.
struct Range(u32, u32, u8, Brand);

static RANGES: &[Range] = &[
    Range(4, 4, 1, Brand::Visa),
    Range(51, 55, 2, Brand::Mastercard),
    Range(2221, 2720, 4, Brand::Mastercard),
    Range(34, 34, 2, Brand::Amex),
    Range(37, 37, 2, Brand::Amex),
    Range(6011, 6011, 4, Brand::Discover),
    Range(644, 649, 3, Brand::Discover),
    Range(65, 65, 2, Brand::Discover),
    Range(300, 305, 3, Brand::Diners),
    Range(3095, 3095, 4, Brand::Diners),
    Range(36, 36, 2, Brand::Diners),
    Range(38, 39, 2, Brand::Diners),
    Range(3528, 3589, 4, Brand::Jcb),
    Range(62, 62, 2, Brand::UnionPay),
    Range(81, 81, 2, Brand::UnionPay),
    Range(50, 50, 2, Brand::Maestro),
    Range(56, 58, 2, Brand::Maestro),
    Range(63, 63, 2, Brand::Maestro),
    Range(67, 67, 2, Brand::Maestro),
    Range(6085, 6085, 4, Brand::RuPay),
    Range(6069, 6069, 4, Brand::RuPay),
    Range(607, 607, 3, Brand::RuPay),
    Range(6081, 6084, 4, Brand::RuPay),
    Range(817200, 820199, 6, Brand::RuPay),
    Range(508, 508, 3, Brand::RuPay),
    Range(6521, 6522, 4, Brand::RuPay),
    Range(401178, 401179, 6, Brand::Elo),
    Range(438935, 438935, 6, Brand::Elo),
    Range(451416, 451416, 6, Brand::Elo),
    Range(457631, 457632, 6, Brand::Elo),
    Range(504175, 504175, 6, Brand::Elo),
    Range(506699, 506778, 6, Brand::Elo),
    Range(509000, 509999, 6, Brand::Elo),
    Range(627780, 627780, 6, Brand::Elo),
    Range(636297, 636297, 6, Brand::Elo),
    Range(636368, 636368, 6, Brand::Elo),
    Range(650031, 650051, 6, Brand::Elo),
    Range(650405, 650598, 6, Brand::Elo),
    Range(606282, 606282, 6, Brand::Hipercard),
    Range(2200, 2204, 4, Brand::Mir),
    Range(506099, 506198, 6, Brand::Verve),
    Range(650002, 650027, 6, Brand::Verve),
    Range(507865, 507964, 6, Brand::Verve),
    Range(9792, 9792, 4, Brand::Troy),
    Range(1, 1, 1, Brand::Uatp),
];

impl Brand {
    /// The brand of a whole or partial number; [`Brand::Unknown`] until the digits settle it.
    #[must_use]
    pub fn of(digits: &str) -> Self {
        RANGES
            .iter()
            .filter(|range| range.holds(digits))
            .max_by_key(|range| range.2)
            .map_or(Self::Unknown, |range| range.3)
    }

    /// The brand with this wire name.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        RANGES
            .iter()
            .map(|range| range.3)
            .find(|brand| brand.facts().id == id)
    }

    /// What the brand's numbers look like.
    #[must_use]
    pub fn facts(self) -> &'static Facts {
        match self {
            Self::Visa => &VISA,
            Self::Mastercard => &MASTERCARD,
            Self::Amex => &AMEX,
            Self::Discover => &DISCOVER,
            Self::Diners => &DINERS,
            Self::Jcb => &JCB,
            Self::UnionPay => &UNIONPAY,
            Self::Maestro => &MAESTRO,
            Self::RuPay => &RUPAY,
            Self::Elo => &ELO,
            Self::Hipercard => &HIPERCARD,
            Self::Mir => &MIR,
            Self::Verve => &VERVE,
            Self::Troy => &TROY,
            Self::Uatp => &UATP,
            Self::Unknown => &UNKNOWN,
        }
    }

    /// Where spaces go for a number of this length. Diners is 4-6-4 at 14 digits and 4-4-4-4 above.
    #[must_use]
    pub fn gaps(self, length: usize) -> &'static [usize] {
        if self == Self::Diners && length > 14 {
            FOURS
        } else {
            self.facts().gaps
        }
    }

    /// The longest number of this brand.
    #[must_use]
    pub fn max_length(self) -> usize {
        self.facts().lengths.last().copied().unwrap_or(19)
    }
}

impl Range {
    fn holds(&self, digits: &str) -> bool {
        let Some(prefix) = digits.get(..usize::from(self.2)) else {
            return false;
        };
        prefix.bytes().all(|b| b.is_ascii_digit())
            && (self.0..=self.1)
                .contains(&prefix.bytes().fold(0, |n, b| n * 10 + u32::from(b - b'0')))
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
            ("6070", Brand::RuPay),
            ("6521", Brand::RuPay),
            ("8172001", Brand::RuPay),
            ("6362970", Brand::Elo),
            ("4011780", Brand::Elo),
            ("6062820", Brand::Hipercard),
            ("2200", Brand::Mir),
            ("9792", Brand::Troy),
            ("", Brand::Unknown),
            ("9", Brand::Unknown),
        ] {
            assert_eq!(Brand::of(digits), brand, "{digits}");
        }
    }

    #[test]
    fn every_brand_is_found_by_its_id() {
        for range in RANGES {
            assert_eq!(Brand::from_id(range.3.facts().id), Some(range.3));
        }
        assert_eq!(Brand::from_id("unknown"), None);
    }

    #[test]
    fn tables_are_sound() {
        for range in RANGES {
            let facts = range.3.facts();
            assert!(range.0 <= range.1);
            assert!(facts.lengths.is_sorted() && facts.gaps.is_sorted());
            assert!(facts.lengths.iter().all(|l| (12..=19).contains(l)));
        }
    }
}
