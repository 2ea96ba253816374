//! The path without WebAssembly says what the Rust says: random input through both, and the answers compared.
//!
//! `plain/` is the files that the frame ships, run in Node. What is drawn at random is drawn near the rules: prefixes of
//! listed ranges, lengths about the right ones, separators and digits of other scripts. The seed is fixed.

mod node;

use std::sync::OnceLock;

use card::brand::{Facts, Lengths};
use card::own::{Kind, OwnBrand, range};
use card::{Brand, Month, expiry, number};
use checkout_wasm::edit::{self, Deletion, Typed};
use checkout_wasm::form::{Asks, Entry, Fault, Field, Form};
use checkout_wasm::mode::Mode;
use checkout_wasm::{postal, refusal, tables, words};
use pan::{Country, HolderName, PostalCode};
use serde_json::{Value, json};
use vault_api::Code;

const EDITS: usize = 6_000;
const FORMS: usize = 1_500;
const TEXTS: usize = 2_000;

const FAULTS: [Fault; 15] = [
    Fault::NumberIncomplete,
    Fault::NumberInvalid,
    Fault::LiveCardInTestMode,
    Fault::TestCardInLiveMode,
    Fault::BrandNotAllowed,
    Fault::FundingNotAllowed,
    Fault::ExpiryIncomplete,
    Fault::ExpiryInvalid,
    Fault::ExpiryPast,
    Fault::CvcIncomplete,
    Fault::CvcInvalid,
    Fault::NameIncomplete,
    Fault::NameInvalid,
    Fault::PostalCodeIncomplete,
    Fault::PostalCodeInvalid,
];

#[test]
fn the_plain_script_says_what_the_rust_says() {
    let mut random = Random {
        state: 0x2545_F491_4F6C_DD1D,
        ranges: Brand::all_ranges().map(Iterator::collect),
    };
    let (edits, edited): (Vec<_>, Vec<_>) = (0..EDITS).map(|_| edit(&mut random)).unzip();
    let (forms, acted): (Vec<_>, Vec<_>) = (0..FORMS).map(|_| form(&mut random)).unzip();
    let (texts, read): (Vec<_>, Vec<_>) = (0..TEXTS).map(|_| text(&mut random)).unzip();
    let faults: Vec<_> = FAULTS
        .into_iter()
        .flat_map(|fault| [Brand::Visa, Brand::Amex, Brand::Unknown].map(|brand| (fault, brand)))
        .collect();
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let statuses = [0, 400, 401, 402, 403, 404, 409, 422, 429, 500, 503];
    let answers = node::run(
        "plain.mjs",
        &json!({
            "tables": tables::json(),
            "own": own_json(),
            "edits": edits,
            "forms": forms,
            "texts": texts,
            "words": {
                "faults": faults.iter().map(|(fault, brand)| (fault.code(), brand.facts().id)).collect::<Vec<_>>(),
                "codes": codes,
                "statuses": statuses,
            },
        }),
    );
    let said = faults
        .iter()
        .map(|(fault, brand)| json!([words::fault(*fault, (*brand).into()), fault.field().id()]))
        .collect();
    let faults = codes
        .iter()
        .map(|code| json!(refusal::fault(code).map(Fault::code)))
        .collect();
    let kinds = statuses
        .iter()
        .map(|status| json!(refusal::kind(*status)))
        .collect();
    compare(&answers["edited"], &edits, &edited);
    compare(&answers["acted"], &forms, &acted);
    compare(&answers["read"], &texts, &read);
    compare(&answers["said"], &[], &said);
    compare(&answers["codes"], &[], &faults);
    compare(&answers["kinds"], &[], &kinds);
    // Random input that is never right proves little.
    let complete = acted.iter().flat_map(|states| states.as_array());
    let complete = complete
        .flatten()
        .filter(|state| state["fields"][0][1] == true);
    assert!(complete.count() > FORMS / 10);
}

/// Brands of a merchant's own: one without check digit and CVV, and one that takes from a listed brand.
fn own() -> &'static [OwnBrand<'static>] {
    static OWN: OnceLock<[OwnBrand<'static>; 2]> = OnceLock::new();
    OWN.get_or_init(|| {
        let brand = |id, prefixes: [&'static str; 2], lengths: &[u8], cvc_length, luhn| OwnBrand {
            facts: Facts {
                id,
                name: "Own",
                lengths: Lengths::of(lengths),
                cvc_length,
                cvc_label: "CVC",
            },
            prefixes: prefixes.map(range).to_vec(),
            gaps: Lengths::of(&[6, 10]),
            luhn,
        };
        [
            brand("store", ["700700-700799", "1234567"], &[15, 17], 0, false),
            brand("house", ["411111", "58956200-58956299"], &[16], 4, true),
        ]
    })
}

/// The same as the vault's field session lists them.
fn own_json() -> Value {
    let numbers = |set: Lengths| {
        (0..32_usize)
            .filter(|n| set.contains(*n))
            .collect::<Vec<_>>()
    };
    own()
        .iter()
        .map(|brand| {
            let facts = brand.facts;
            let prefixes = brand.prefixes.iter().map(|(from, to)| format!("{from}-{to}"));
            json!({
                "id": facts.id, "name": facts.name, "lengths": numbers(facts.lengths), "cvc_length": facts.cvc_length,
                "prefixes": prefixes.collect::<Vec<_>>(), "gaps": numbers(brand.gaps), "luhn": brand.luhn,
            })
        })
        .collect()
}

#[track_caller]
fn compare(answers: &Value, asked: &[Value], expected: &Vec<Value>) {
    let answers = answers.as_array().expect("a list");
    assert_eq!(answers.len(), expected.len());
    for (at, (answer, expected)) in answers.iter().zip(expected).enumerate() {
        assert_eq!(
            answer,
            expected,
            "{}",
            asked.get(at).unwrap_or(&Value::Null)
        );
    }
}

/// What is typed into a field, and what it shows then.
fn edit(random: &mut Random) -> (Value, Value) {
    let field = random.pick(&Field::CARD);
    let brand = if random.one_in(4) {
        Kind::Own(&own()[random.below(2)])
    } else {
        random.pick(&Brand::ALL).into()
    };
    let text = match field {
        Field::Expiry => random.date(),
        _ => random.number(),
    };
    let units = text.encode_utf16().count();
    let caret = random.below(units + 2);
    let digits = number::digits_of(&text, usize::MAX).len();
    let digits_before = if random.one_in(3) {
        digits
    } else {
        random.below(20)
    };
    let input_type = random.pick(&[
        "insertText",
        "deleteContentBackward",
        "deleteContentForward",
        "",
    ]);
    let typed = Typed {
        text: &text,
        caret,
        digits_before,
        deletion: Deletion::of_input_type(input_type),
    };
    let shown = match field {
        Field::Number => edit::number(typed, own()),
        Field::Expiry => edit::expiry(typed),
        _ => edit::cvc(typed, brand),
    };
    (
        json!({
            "field": field.id(), "brand": brand.facts().id, "text": text, "caret": caret,
            "digitsBefore": digits_before, "inputType": input_type,
        }),
        json!([*shown.text, shown.caret, shown.digits]),
    )
}

/// What happens to a form, and what it says after each step.
fn form(random: &mut Random) -> (Value, Value) {
    let (mode, name) = random.pick(&[(Mode::Test, "test"), (Mode::Live, "live")]);
    let cvc_alone = random.one_in(8);
    let today = Month::new(2026, 11).expect("a month");
    let mut form = if cvc_alone {
        Form::cvc_alone(mode)
    } else {
        Form::new(mode)
    };
    form.register(own());
    let (mut steps, mut states) = (vec![], vec![]);
    for _ in 0..6 {
        steps.push(step(random, &mut form, today));
        states.push(state(&form));
    }
    (
        json!({ "mode": name, "cvc_alone": cvc_alone, "today": { "year": 2026, "month": 11 }, "steps": steps }),
        states.into(),
    )
}

fn step(random: &mut Random, form: &mut Form, today: Month) -> Value {
    match random.below(9) {
        0 => {
            let field = random.pick(&Field::ALL);
            form.left(field);
            json!({ "act": "left", "field": field.id() })
        }
        1 => {
            _ = form.submitted();
            json!({ "act": "submitted" })
        }
        2 => {
            let fault = random.pick(&FAULTS);
            form.refused(fault);
            json!({ "act": "refused", "fault": fault.code() })
        }
        3 => {
            let network = random.pick(&Brand::ALL);
            form.choose(network);
            json!({ "act": "choose", "network": network.facts().id })
        }
        4 => ask(random, form),
        _ => {
            let number = number::digits_of(&random.number(), 20);
            let (expiry, name, postal_code) = (
                expiry::format(&random.date()),
                random.name(),
                random.postal(),
            );
            let cvc: String = (0..random.below(6)).map(|_| random.digit()).collect();
            let save = random.one_in(2);
            form.read(
                Entry {
                    number: &number,
                    expiry: &expiry,
                    cvc: &cvc,
                    name: &name,
                    postal_code: &postal_code,
                    save,
                },
                today,
            );
            json!({ "act": "read", "entry": {
                "number": number, "expiry": expiry, "cvc": cvc, "name": name, "postal": postal_code,
                "save": save,
            } })
        }
    }
}

fn ask(random: &mut Random, form: &mut Form) -> Value {
    let mut some = |most: usize| -> Vec<Brand> {
        let count = random.below(most);
        (0..count).map(|_| random.pick(&Brand::ALL[..12])).collect()
    };
    let (allowed, preferred) = (some(8), some(4));
    let takes_all = random.one_in(2);
    let country = Country::parse(random.pick(&["US", "DE", "GB", "HK", "NL", "ZZ", ""])).ok();
    let mut asks = Asks {
        name: random.one_in(2),
        postal_code: random.one_in(2),
        save: random.one_in(2),
        allowed: (!takes_all).then(|| allowed.iter().copied().collect()),
        ..Asks::default()
    };
    for (place, brand) in asks.preferred.iter_mut().zip(&preferred) {
        *place = *brand;
    }
    form.ask(asks, country);
    let ids = |brands: &[Brand]| {
        brands
            .iter()
            .map(|brand| brand.facts().id)
            .collect::<Vec<_>>()
    };
    json!({
        "act": "ask",
        "country": country.as_ref().map(Country::as_str),
        "asks": {
            "name": asks.name, "postalCode": asks.postal_code, "save": asks.save,
            "allowed": (!takes_all).then(|| ids(&allowed)), "preferred": ids(&preferred),
        },
    })
}

fn state(form: &Form) -> Value {
    let ids = |brands: card::brand::Brands| {
        brands
            .into_iter()
            .map(|brand| brand.facts().id)
            .collect::<Vec<_>>()
    };
    let field = |field| {
        let shown = form.shown(field).map(Fault::code);
        json!([form.is_empty_at(field), form.is_complete_at(field), shown])
    };
    json!({
        "brand": form.brand().facts().id,
        "possible": ids(form.possible()),
        "choices": ids(form.choices()),
        "network": form.network().map(|network| network.facts().id),
        "empty": form.is_empty(),
        "first": form.first_shown().map(Fault::code),
        "fields": Field::ALL.map(field),
    })
}

/// A text, read as a name and as a postal code.
fn text(random: &mut Random) -> (Value, Value) {
    #![expect(
        clippy::disallowed_methods,
        reason = "what both make of made-up text is compared"
    )]
    let text = match random.below(4) {
        0 => random.name(),
        1 => random.postal(),
        2 => format!("{}{}", random.name(), random.number()),
        _ => random.number(),
    };
    let country = random.pick(&["US", "DE", "GB", "HK", "NL", "JP", "IE", "CA", "ZZ", ""]);
    let known = Country::parse(country).ok();
    let ascii: String = text
        .chars()
        .map(|c| number::ascii_digit(c).unwrap_or(c))
        .collect();
    let name = HolderName::parse(&text).ok();
    let code = PostalCode::parse(&ascii).ok();
    (
        json!({ "text": text, "country": country }),
        json!({
            "name": name.as_ref().map(HolderName::expose),
            "code": code.as_ref().map(PostalCode::expose),
            "postal": postal::is_valid(known, &text),
            "is_numeric": postal::is_numeric(known),
            "holds": card::filter::holds_card_number(&text),
        }),
    )
}

/// xorshift64, and the ranges that numbers are drawn from: the brands' and the co-badges'.
struct Random {
    state: u64,
    ranges: [Vec<(u32, u32, Brand)>; 2],
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn digit(&mut self) -> char {
        char::from(b'0' + self.below(10) as u8)
    }

    /// A number that begins as a listed one does, often with a right check digit, sometimes with what people put between.
    fn number(&mut self) -> String {
        let table = usize::from(self.one_in(3));
        let at = self.below(self.ranges[table].len());
        let (from, to, _) = self.ranges[table][at];
        let published: Vec<&str> = card::test_cards::published().collect();
        const OWN: [&str; 5] = ["700750", "700699", "1234567", "411111", "58956212"];
        let mut digits = match self.below(6) {
            5 => self.pick(&OWN).to_owned(),
            0 => self.pick(&published).to_owned(),
            1 => String::new(),
            _ => (from + self.below((to - from + 1) as usize) as u32).to_string(),
        };
        let length = self.pick(&[0, 3, 6, 12, 13, 14, 15, 16, 16, 16, 16, 17, 18, 19, 21]);
        while digits.len() < length {
            let digit = self.digit();
            digits.push(digit);
        }
        if !self.one_in(4) && digits.len() > 1 {
            digits.pop();
            digits.push(char::from(b'0' + card::luhn::check_digit(&digits)));
        }
        self.dress(&digits, &[" ", "-", "  ", "x", "\u{1F4B3}"])
    }

    /// Digits as people type them: with separators between, or in another script.
    fn dress(&mut self, digits: &str, between: &[&str]) -> String {
        let zero = self.pick(&[
            0x30, 0x30, 0x30, 0x0660, 0x06F0, 0x0966, 0x0D66, 0x0E50, 0xFF10,
        ]);
        let separates = self.one_in(3);
        let mut text = String::new();
        for digit in digits.chars() {
            text.extend(char::from_u32(zero + u32::from(digit) - 0x30));
            if separates && self.one_in(4) {
                text += self.pick(between);
            }
        }
        text
    }

    fn date(&mut self) -> String {
        let year = 2015 + self.below(80);
        let month = self.below(15);
        let written = match self.below(8) {
            0 => format!("{month:02}{:02}", year % 100),
            1 => format!("{month}/{:02}", year % 100),
            2 => format!("{month:02} / {:02}", year % 100),
            3 => format!("{month:02}/{year}"),
            4 => format!("{year}-{month:02}"),
            5 => format!("{year}{month:02}"),
            6 => format!("{month}/{}/{year}", self.below(32)),
            _ => (0..self.below(9)).map(|_| self.digit()).collect(),
        };
        let cut = self.below(written.len() + 1);
        let written = if self.one_in(3) {
            &written[..cut]
        } else {
            &written
        };
        if self.one_in(4) {
            return self.dress(
                written.replace(|c: char| !c.is_ascii_digit(), "").as_str(),
                &["/", ".", " "],
            );
        }
        written.to_owned()
    }

    fn name(&mut self) -> String {
        const PARTS: [&str; 17] = [
            "Ada",
            " ",
            "Löw",
            "\u{85}",
            "\u{FEFF}",
            "\u{a0}",
            "4242 4242 4242 4242",
            "4242-4242-4242-4242",
            "\n",
            "Ⅷ",
            "3e8cbd0c-4242-4242-8242-4243aaaaaaaa",
            "x3e8cbd0c-4242-4242-8242-4243aaaaaaaa",
            "-424242424242424a",
            "a4242424242424242",
            "42424242",
            "12",
            "\u{10FFFF}",
        ];
        let parts = self.below(5);
        let text: String = (0..parts).map(|_| self.pick(&PARTS)).collect();
        if self.one_in(20) {
            text.repeat(40)
        } else {
            text
        }
    }

    fn postal(&mut self) -> String {
        const CODES: [&str; 12] = [
            "",
            "94107",
            "94107-1234",
            "SW1A 1AA",
            "m1 1ae",
            "1012 AB",
            "100-0001",
            "１００-０００１",
            "D02 AF30",
            "4242424242424242",
            "K1A 0B1",
            "no/such",
        ];
        let code = self.pick(&CODES);
        if self.one_in(4) {
            code.chars().skip(1).collect()
        } else {
            code.to_owned()
        }
    }
}
