//! The words of every language: all of them there, nothing of English left, placeholders whole; and which language a
//! buyer's tag gets.

mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use checkout_wasm::words::ENGLISH;
use serde_json::json;

type Words = BTreeMap<String, String>;

fn languages() -> BTreeMap<String, Words> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/words");
    fs::read_dir(folder)
        .expect("the words")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let locale = path.file_stem().expect("a name").to_string_lossy();
            let text = fs::read_to_string(&path).expect("readable");
            let words = serde_json::from_str(&text);
            (
                locale.to_string(),
                words.unwrap_or_else(|error| panic!("{locale}: {error}")),
            )
        })
        .collect()
}

/// English: the wasm's, and what `extras.js` says of the elements it makes.
fn english() -> Words {
    let script = include_str!("../src/browser/extras.js");
    let made = script
        .split_once("const ENGLISH = {")
        .and_then(|(_, rest)| rest.split_once("};"))
        .expect("the English of extras.js")
        .0;
    let made = made.lines().filter_map(|line| {
        let (key, text) = line.trim().trim_end_matches(',').split_once(": ")?;
        Some((key.to_owned(), text.trim_matches('"').to_owned()))
    });
    let inside = ENGLISH.map(|(key, text)| (key.to_owned(), text.to_owned()));
    inside.into_iter().chain(made).collect()
}

#[test]
fn every_language_has_every_word_and_no_other() {
    let english = english();
    assert!(english.contains_key("save") && english.contains_key("number"));
    let languages = languages();
    // English is the one more.
    assert!(languages.len() + 1 >= 49, "{} languages", languages.len());
    let expected: BTreeSet<_> = english.keys().collect();
    for (locale, words) in &languages {
        let keys: BTreeSet<_> = words.keys().collect();
        assert_eq!(keys, expected, "{locale}");
        for (key, text) in words {
            assert_eq!(text, text.trim(), "{locale} {key}");
            assert!(!text.is_empty() && text.len() <= 400, "{locale} {key}");
            assert_ne!(text, &english[key], "{locale} {key} is English");
            assert_eq!(
                text.matches("{brand}").count(),
                english[key].matches("{brand}").count(),
                "{locale} {key}"
            );
            assert_eq!(
                text.contains('{'),
                text.contains("{brand}"),
                "{locale} {key}"
            );
            assert_eq!(
                text.contains("4242\u{a0}4242\u{a0}4242\u{a0}4242"),
                key == "live_card_in_test_mode",
                "{locale} {key}"
            );
            assert!(
                !text.contains('<') && !text.contains("&#"),
                "{locale} {key}"
            );
        }
    }
}

#[test]
fn a_script_of_its_own_has_no_latin_left() {
    const OWN_SCRIPT: [&str; 18] = [
        "ar", "bg", "bn", "el", "fa", "he", "hi", "ja", "kk", "ko", "mk", "ru", "sr", "th", "uk",
        "ur", "zh", "zh-TW",
    ];
    let languages = languages();
    for locale in OWN_SCRIPT {
        for (key, text) in &languages[locale] {
            let text = text.replace("{brand}", "");
            assert!(
                !text.chars().any(|c| c.is_ascii_alphabetic()),
                "{locale} {key}: {text}"
            );
        }
    }
}

#[test]
fn sentences_are_sentences_and_labels_are_not() {
    const LABELS: [&str; 10] = [
        "form",
        "number",
        "expiry",
        "expiry_format",
        "cvc",
        "name",
        "postal_code",
        "country",
        "save",
        "networks",
    ];
    for (locale, words) in languages() {
        for (key, text) in words {
            let ends = text.ends_with(['.', '।', '。', '۔']);
            // Thai has no full stop.
            let expected = !LABELS.contains(&key.as_str()) && locale != "th";
            assert_eq!(ends, expected, "{locale} {key}: {text}");
        }
    }
}

#[test]
fn a_buyers_tag_gets_the_language_that_fits_best() {
    let cases = [
        ("en-US", "en", "ltr"),
        ("de-AT", "de", "ltr"),
        ("ar-EG", "ar", "rtl"),
        ("fa", "fa", "rtl"),
        ("he-IL", "he", "rtl"),
        ("iw", "he", "rtl"),
        ("ur-PK", "ur", "rtl"),
        ("pt-BR", "pt-BR", "ltr"),
        ("pt-AO", "pt", "ltr"),
        ("es-ES", "es", "ltr"),
        ("es", "es", "ltr"),
        ("es-MX", "es-419", "ltr"),
        ("fr-CA", "fr-CA", "ltr"),
        ("fr-BE", "fr", "ltr"),
        ("no", "nb", "ltr"),
        ("nn-NO", "nb", "ltr"),
        ("zh-CN", "zh", "ltr"),
        ("zh-Hans-HK", "zh", "ltr"),
        ("zh-Hant-HK", "zh-HK", "ltr"),
        ("zh-HK", "zh-HK", "ltr"),
        ("zh-Hant", "zh-TW", "ltr"),
        ("zh-TW", "zh-TW", "ltr"),
        ("tl-PH", "fil", "ltr"),
        ("in", "id", "ltr"),
        ("xx", "en", "ltr"),
        ("../../etc/passwd", "en", "ltr"),
    ];
    let languages = languages();
    let input = json!({
        "tags": cases.map(|(tag, ..)| tag),
        "locales": languages.keys().collect::<Vec<_>>(),
    });
    let picked = node::run("words.mjs", &input);
    for (at, (tag, lang, dir)) in cases.into_iter().enumerate() {
        assert_eq!(picked[at], json!([lang, dir]), "{tag}");
    }
}
