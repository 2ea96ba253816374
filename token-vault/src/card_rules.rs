//! What an operator rules for the cards of a publishable key: brands of the merchant's own, and which funding it takes. The page
//! has no say in it: the frame is told by its field session, and the vault checks the same rules itself.
//!
//! | in the file (TOML) | is |
//! |---|---|
//! | `funding` | which cards are taken: a list of `credit`, `debit`, `prepaid`; all without it |
//! | `[[brands]]` | a brand of the merchant's own, before the listed ones, up to 10 |
//! | `brands.id` | its wire name: 2-32 small letters, digits, `_`; none of the listed brands' |
//! | `brands.name` | what a buyer reads, up to 40 characters |
//! | `brands.prefixes` | its ranges, `"700600-700699"` or `"700600"`: 6-11 digits, up to 20 ranges |
//! | `brands.lengths` | of a whole number, 12-19 |
//! | `brands.gaps` | after how many digits a space is shown; `[4, 8, 12, 16]` without it |
//! | `brands.cvc_length` | 3, 4, or 0 for cards without a security code; 3 without it |
//! | `brands.luhn` | `false`: its numbers have no check digit |

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use card::brand::{Facts, Lengths};
use card::{Brand, own};
use serde::{Deserialize, Serialize};
use vault_api::keys::Mode;
use vault_api::tokens::{Funding, OwnBrand};

use crate::Error;

/// More would travel with every field session.
const MAX_BRANDS: usize = 10;
const MAX_RANGES: usize = 20;

/// The rules of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardRules {
    /// The merchant's own brands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brands: Vec<OwnBrand>,
    /// Which cards are taken, by funding; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub funding: Vec<Funding>,
}

impl CardRules {
    /// Reads an operator's file.
    ///
    /// # Errors
    /// What is wrong with it, for the operator.
    pub fn of_file(file: &Path, mode: Mode) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let rules: Self =
            toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
        ensure!(
            rules.brands.len() <= MAX_BRANDS,
            "there may be {MAX_BRANDS} brands at most"
        );
        for (at, brand) in rules.brands.iter().enumerate() {
            check(brand, mode).with_context(|| format!("brand {:?}", brand.id))?;
            let before = &rules.brands[..at];
            ensure!(
                before.iter().all(|other| other.id != brand.id),
                "brand {:?} is there twice",
                brand.id
            );
        }
        Ok(rules)
    }

    /// Whether cards of this funding are taken.
    #[must_use]
    pub fn takes(&self, funding: Funding) -> bool {
        self.funding.is_empty() || self.funding.contains(&funding)
    }

    /// As a key's row keeps them: nothing where there are none.
    ///
    /// # Errors
    /// None that happens: what came from a file can be written.
    pub fn to_text(&self) -> Result<Option<String>, Error> {
        if *self == Self::default() {
            return Ok(None);
        }
        let text = serde_json::to_string(self);
        text.map(Some)
            .map_err(|_| Error::Internal("card rules could not be written"))
    }

    /// Of a key's row.
    ///
    /// # Errors
    /// What stands there is of another version.
    pub fn of_text(text: Option<String>) -> Result<Self, Error> {
        // Rules that cannot be read must not let every card pass.
        let malformed = |_| Error::Internal("a key's card rules are malformed");
        text.map_or_else(
            || Ok(Self::default()),
            |text| serde_json::from_str(&text).map_err(malformed),
        )
    }

    /// The merchant's own brands, as the rules about numbers take them.
    #[must_use]
    pub fn own(&self) -> Vec<own::OwnBrand<'_>> {
        self.brands.iter().map(rule).collect()
    }
}

fn rule(brand: &OwnBrand) -> own::OwnBrand<'_> {
    own::OwnBrand {
        facts: Facts {
            id: &brand.id,
            name: &brand.name,
            lengths: Lengths::of(&brand.lengths),
            cvc_length: brand.cvc_length,
            cvc_label: "CVC",
        },
        prefixes: brand.prefixes.iter().map(|text| own::range(text)).collect(),
        gaps: Lengths::of(&brand.gaps),
        luhn: brand.luhn,
    }
}

fn check(brand: &OwnBrand, mode: Mode) -> anyhow::Result<()> {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    ensure!(
        (2..=32).contains(&brand.id.len()) && brand.id.bytes().all(is_word),
        "`id`: 2-32 small letters, digits, _"
    );
    ensure!(
        Brand::from_id(&brand.id).is_none(),
        "`id` is a listed brand's"
    );
    let name = brand.name.trim();
    ensure!(
        !name.is_empty() && name.chars().count() <= 40 && !name.chars().any(char::is_control),
        "`name`: 1-40 characters"
    );
    ensure!(
        !brand.lengths.is_empty() && brand.lengths.iter().all(|n| (12..=19).contains(n)),
        "`lengths`: of 12-19"
    );
    ensure!(
        brand.gaps.iter().all(|n| (1..=18).contains(n)),
        "`gaps`: of 1-18"
    );
    ensure!(
        matches!(brand.cvc_length, 0 | 3 | 4),
        "`cvc_length`: 0, 3 or 4"
    );
    ensure!(
        (1..=MAX_RANGES).contains(&brand.prefixes.len()),
        "`prefixes`: 1-{MAX_RANGES} ranges"
    );
    for prefix in &brand.prefixes {
        let (from, to) = own::range(prefix);
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        ensure!(
            (6..=11).contains(&from.len())
                && from.len() == to.len()
                && digits(from)
                && digits(to)
                && from <= to,
            "`prefixes`: {prefix:?} is not like \"700600-700699\" or \"700600\", of 6-11 digits"
        );
        // Real cards must not come into test mode this way, nor a scheme's lose its check digit.
        if (mode == Mode::Test || !brand.luhn)
            && let Some(listed) = listed_in(from, to)
        {
            let name = listed.facts().name;
            if brand.luhn {
                bail!("{prefix} has cards of {name}: in test mode a range must be nobody's");
            }
            bail!(
                "{prefix} has cards of {name}, which have a check digit: `luhn = false` is for ranges that are nobody's"
            );
        }
    }
    Ok(())
}

/// A brand of the tables that has cards from one prefix to the other.
fn listed_in(from: &str, to: &str) -> Option<Brand> {
    // All as prefixes of as many digits, the first and the last that begin so.
    const DIGITS: usize = 12;
    let widen = |prefix: &str, fill: char| -> u64 {
        let filled = format!("{prefix:0<0$}", prefix.len())
            + &fill.to_string().repeat(DIGITS - prefix.len());
        filled.parse().unwrap_or_default()
    };
    let (from, to) = (widen(from, '0'), widen(to, '9'));
    let [ranges, _] = Brand::all_ranges();
    ranges
        .map(|(first, last, brand)| {
            (
                widen(&first.to_string(), '0'),
                widen(&last.to_string(), '9'),
                brand,
            )
        })
        .find(|(first, last, _)| *first <= to && from <= *last)
        .map(|(.., brand)| brand)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = r#"
        funding = ["credit", "prepaid"]
        [[brands]]
        id = "store"
        name = "Store Card"
        prefixes = ["700700-700799", "7100001"]
        lengths = [15, 16]
        cvc_length = 0
        luhn = false
    "#;

    #[track_caller]
    fn read(text: &str, mode: Mode) -> Result<CardRules, String> {
        let file = std::env::temp_dir().join(vault_api::ids::new_id("rules"));
        std::fs::write(&file, text).expect("a file");
        let rules = CardRules::of_file(&file, mode);
        std::fs::remove_file(&file).expect("gone");
        rules.map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_file_is_read() {
        let rules = read(STORE, Mode::Test).expect("rules");
        assert_eq!(rules.funding, [Funding::Credit, Funding::Prepaid]);
        let brand = &rules.brands[0];
        assert_eq!(
            (brand.gaps.as_slice(), brand.luhn),
            (&[4, 8, 12, 16][..], false)
        );
        let json = serde_json::to_string(&rules).expect("json");
        assert_eq!(
            serde_json::from_str::<CardRules>(&json).expect("the same"),
            rules
        );
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for (from, to, expected) in [
            ("\"store\"", "\"visa\"", "a listed brand's"),
            ("\"store\"", "\"My Store\"", "`id`"),
            ("Store Card", " ", "`name`"),
            ("700700-700799", "700799-700700", "`prefixes`"),
            ("700700-700799", "70070", "`prefixes`"),
            ("700700-700799", "700700-7007990", "`prefixes`"),
            ("700700-700799", "424242", "cards of Visa"),
            ("700700-700799", "622200-639999", "cards of"),
            ("7100001", "4", "`prefixes`"),
            ("[15, 16]", "[11]", "`lengths`"),
            ("[15, 16]", "[]", "`lengths`"),
            ("cvc_length = 0", "cvc_length = 5", "`cvc_length`"),
            ("luhn", "loon", "unknown field"),
            ("\"prepaid\"", "\"cash\"", "unknown variant"),
        ] {
            for mode in [Mode::Test, Mode::Live] {
                let error = read(&STORE.replace(from, to), mode).expect_err(to);
                assert!(error.contains(expected), "{from} -> {to}: {error}");
            }
        }
        let twice = STORE.to_owned() + &STORE.replacen("funding", "#", 1);
        assert!(
            read(&twice, Mode::Live)
                .expect_err("twice")
                .contains("twice")
        );
    }

    #[test]
    fn a_scheme_s_range_may_be_named_in_live_mode_and_keeps_its_check_digit() {
        let named = STORE
            .replace("700700-700799", "411111")
            .replace("false", "true");
        assert!(read(&named, Mode::Live).is_ok());
        let error = read(&named, Mode::Test).expect_err("real cards");
        assert!(
            error.contains("in test mode a range must be nobody's"),
            "{error}"
        );
    }
}
