//! The tables that the rules stand on, as JSON: brands and their ranges, test numbers, postal codes, the English words.
//!
//! The path without WebAssembly (`plain/`) follows the same rules from these tables, so that each fact is written once.

use card::{Brand, test_cards};
use serde_json::{Value, json};

use crate::{postal, words};

/// The tables, on one line.
#[must_use]
pub fn json() -> Value {
    let brands: Vec<_> = Brand::ALL.into_iter().map(facts).collect();
    let [ranges, co_badges] = Brand::all_ranges().map(by_brand);
    let words: serde_json::Map<_, _> = words::ENGLISH
        .into_iter()
        .map(|(key, english)| (key.to_owned(), english.into()))
        .collect();
    json!({
        "brands": brands,
        "ranges": ranges,
        "coBadges": co_badges,
        "testRanges": test_cards::RANGES,
        "testNumbers": test_cards::NUMBERS,
        "postal": postal::SHAPES,
        "words": words,
    })
}

/// `[id, name, lengths, digits of the CVV, its name]`.
fn facts(brand: Brand) -> Value {
    let facts = brand.facts();
    let lengths: Vec<usize> = (0..32).filter(|n| facts.lengths.contains(*n)).collect();
    json!([
        facts.id,
        facts.name,
        lengths,
        facts.cvc_length,
        facts.cvc_label
    ])
}

/// `[id, "51-55,2221-2720"]` of each run of ranges of one brand, in the table's order.
fn by_brand(ranges: impl Iterator<Item = (u32, u32, Brand)>) -> Vec<(&'static str, String)> {
    let mut lists: Vec<(&'static str, String)> = vec![];
    for (from, to, brand) in ranges {
        let id = brand.facts().id;
        let range = if from == to {
            from.to_string()
        } else {
            format!("{from}-{to}")
        };
        match lists.last_mut().filter(|(last, _)| *last == id) {
            Some((_, list)) => *list = format!("{list},{range}"),
            None => lists.push((id, range)),
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_brand_and_range_is_there() {
        let json = json();
        let brands = json["brands"].as_array().expect("a list");
        assert_eq!(brands.len(), Brand::ALL.len());
        assert_eq!(
            brands[2],
            json!(["amex", "American Express", [15], 4, "CID"])
        );
        let mastercard = json["ranges"].as_array().expect("a list").iter();
        let mut mastercard = mastercard.filter(|entry| entry[0] == "mastercard");
        assert_eq!(
            mastercard.next(),
            Some(&json!(["mastercard", "51-55,2221-2720"]))
        );
        assert_eq!(json["words"]["number"], "Card number");
    }
}
