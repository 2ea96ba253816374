//! What needs more than the crate: its rules in both builds, and the page about it.
//!
//! `docs/brands.md` is written from the table: this test fails when it is stale, and writes it when
//! `CARDSEAL_WRITE_DOCS` is set.

mod parity;

use std::fmt::Write as _;

use card::Brand;

const HEAD: &str = "\
# Card brands

What the form, the vault and the acquirer simulator know of each brand (`crates/card/src/brand/`). The issuer ranges and
the published source of each are in `ranges.rs`; a test compares them with npm `credit-card-type` 10.3.0 and holds the
reasons where the two disagree. This page is written by a test: `CARDSEAL_WRITE_DOCS=1 cargo test -p card`.

- A number that no listed range holds is `unknown` and is taken all the same, at 12 to 19 digits with a right check digit.
- The networks of a co-badged card come from the ranges that are public. Cartes Bancaires, eftpos, Dankort and mada
  publish none or not all of theirs, so a card that is not listed shows one network and no choice.
- girocard, Interac and PagoBancomat cannot be told by a card number that a buyer types, so they are not here. Laser,
  Solo and Switch have ended; their ranges are Maestro's and Visa's now.
- Naranja's own cards (589562) have a check digit of their own; all others have Luhn's.

| Brand | On the wire | Lengths | CVV |
|---|---|---|---|
";

#[test]
fn the_page_lists_every_brand() {
    let mut page = HEAD.to_owned();
    for brand in Brand::ALL {
        let facts = brand.facts();
        let lengths: Vec<_> = (0..32)
            .filter(|length| facts.lengths.contains(*length))
            .map(|length| length.to_string())
            .collect();
        let (name, id) = (facts.name, facts.id);
        let (lengths, digits, label) = (lengths.join(", "), facts.cvc_length, facts.cvc_label);
        writeln!(page, "| {name} | `{id}` | {lengths} | {digits}, {label} |").expect("a string");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/brands.md");
    if std::env::var_os("CARDSEAL_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).expect("writable");
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        there == page,
        "docs/brands.md is stale: CARDSEAL_WRITE_DOCS=1 cargo test -p card"
    );
}
