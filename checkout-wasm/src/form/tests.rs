//! What the form's rules make of what is typed.

use super::*;

fn today() -> Month {
    Month::new(2026, 11).expect("a month")
}

fn form(mode: Mode, number: &str, expiry: &str, cvc: &str) -> Form {
    let mut form = Form::new(mode);
    form.read(
        Entry {
            number,
            expiry,
            cvc,
            ..Entry::default()
        },
        today(),
    );
    form
}

#[test]
fn a_whole_card_is_complete() {
    let form = form(Mode::Test, "4242424242424242", "12 / 30", "123");
    assert!(form.is_complete() && !form.is_empty());
    assert_eq!(
        (form.brand(), form.first_shown()),
        (Brand::Visa.into(), None)
    );
}

#[test]
fn typing_is_not_blamed_until_the_fault_is_certain() {
    for (number, shown) in [
        ("4", None),
        ("424242424242", None),
        ("4242424242424241", None), // may be a 19-digit Visa
        ("5555555555554445", Some(Fault::NumberInvalid)),
        ("4111111111111111", Some(Fault::LiveCardInTestMode)),
    ] {
        let form = form(Mode::Test, number, "", "");
        assert_eq!(form.shown(Field::Number), shown, "{number}");
    }
}

#[test]
fn leaving_a_field_says_what_is_wrong_but_not_of_an_empty_one() {
    let mut form = form(Mode::Test, "4242", "", "12");
    for field in Field::ALL {
        form.left(field);
    }
    assert_eq!(form.shown(Field::Number), Some(Fault::NumberIncomplete));
    assert_eq!(form.shown(Field::Expiry), None);
    assert_eq!(form.shown(Field::Cvc), Some(Fault::CvcIncomplete));
}

#[test]
fn a_wrong_visa_is_said_to_be_wrong_at_blur() {
    let mut form = form(Mode::Test, "4242424242424241", "", "");
    form.left(Field::Number);
    assert_eq!(form.shown(Field::Number), Some(Fault::NumberInvalid));
}

#[test]
fn a_shown_fault_stays_until_it_is_corrected_and_is_then_forgotten() {
    let mut form = form(Mode::Test, "4242", "", "");
    form.left(Field::Number);
    let mut read = |number| {
        form.read(
            Entry {
                number,
                ..Entry::default()
            },
            today(),
        );
        form.shown(Field::Number)
    };
    assert_eq!(read("42424"), Some(Fault::NumberIncomplete));
    assert_eq!(read("4242424242424242"), None);
    assert_eq!(read("424242424242424"), None);
}

#[test]
fn submit_says_everything_and_names_the_first() {
    let mut empty = Form::new(Mode::Live);
    assert_eq!(empty.submitted(), Some(Fault::NumberIncomplete));
    assert_eq!(empty.shown(Field::Cvc), Some(Fault::CvcIncomplete));
    assert!(empty.is_empty() && !empty.is_complete());
    let mut whole = form(Mode::Test, "378282246310005", "01 / 30", "1234");
    assert_eq!(whole.submitted(), None);
}

#[test]
fn each_mode_refuses_the_cards_of_the_other() {
    let live = form(Mode::Live, "4242424242424242", "12 / 30", "123");
    assert_eq!(live.first_shown(), Some(Fault::TestCardInLiveMode));
    let real = form(Mode::Live, "4111111111111111", "12 / 30", "123");
    assert!(real.is_complete());
    // Luhn holds at 13 digits, yet 16 are meant: nothing is said before.
    assert_eq!(
        form(Mode::Test, "4222222222222", "", "").first_shown(),
        None
    );
}

#[test]
fn the_cvc_follows_the_brand() {
    assert!(!form(Mode::Test, "378282246310005", "12 / 30", "123").is_complete());
    let changed = form(Mode::Test, "4242424242424242", "12 / 30", "1234");
    assert_eq!(changed.first_shown(), Some(Fault::CvcInvalid));
}

#[test]
fn expiry_faults() {
    for (expiry, shown) in [
        ("13 / 30", Some(Fault::ExpiryInvalid)),
        ("10 / 26", Some(Fault::ExpiryPast)),
        ("12 / 99", Some(Fault::ExpiryInvalid)),
        ("12 / 20", None),
        ("12 / 3", None),
        ("11 / 26", None),
    ] {
        let form = form(Mode::Test, "", expiry, "");
        assert_eq!(form.shown(Field::Expiry), shown, "{expiry}");
    }
}

#[test]
fn the_vaults_refusal_is_shown_until_the_next_input() {
    let mut form = form(Mode::Test, "4242424242424242", "12 / 30", "123");
    form.refused(Fault::CvcInvalid);
    assert_eq!(form.first_shown(), Some(Fault::CvcInvalid));
    form.read(
        Entry {
            number: "4242424242424242",
            expiry: "12 / 30",
            cvc: "124",
            ..Entry::default()
        },
        today(),
    );
    assert_eq!(form.first_shown(), None);
}

fn asked(asks: Asks, country: &str, entry: Entry<'_>) -> Form {
    let mut form = Form::new(Mode::Test);
    form.ask(asks, Country::parse(country).ok());
    form.read(entry, today());
    form
}

const WHOLE: Entry<'_> = Entry {
    number: "4242424242424242",
    expiry: "12 / 30",
    cvc: "123",
    name: "",
    postal_code: "",
    save: false,
};

#[test]
fn a_field_that_is_not_asked_for_is_not_missed() {
    assert!(asked(Asks::default(), "US", WHOLE).is_complete());
    let asks = Asks {
        name: true,
        postal_code: true,
        ..Asks::default()
    };
    let mut form = asked(asks, "US", WHOLE);
    assert!(!form.is_complete());
    form.submitted();
    assert_eq!(form.shown(Field::Name), Some(Fault::NameIncomplete));
    let entry = Entry {
        name: "Ada Lovelace",
        postal_code: "94107",
        ..WHOLE
    };
    assert!(asked(asks, "US", entry).is_complete());
    let mut form = asked(asks, "GB", entry);
    form.left(Field::PostalCode);
    assert_eq!(form.first_shown(), Some(Fault::PostalCodeInvalid));
    // Where no country is known any code will do, and where there are none, none.
    assert!(asked(asks, "", entry).is_complete());
    assert!(
        asked(
            asks,
            "HK",
            Entry {
                postal_code: "",
                ..entry
            }
        )
        .is_complete()
    );
    let number = Entry {
        name: "4242 4242 4242 4242",
        ..entry
    };
    assert!(!asked(asks, "US", number).is_complete());
}

#[test]
fn the_vaults_refusal_of_a_field_that_is_not_there_is_not_the_forms() {
    let mut form = asked(Asks::default(), "", WHOLE);
    form.refused(Fault::NameInvalid);
    assert!(form.is_complete() && form.first_shown().is_none());
}

const CO_BADGED: Entry<'_> = Entry {
    number: "4000002500001001",
    ..WHOLE
};

#[test]
fn the_network_of_a_co_badge_is_the_buyers_to_choose() {
    let mut form = asked(Asks::default(), "", CO_BADGED);
    let both: Brands = [Brand::Visa, Brand::CartesBancaires].into_iter().collect();
    assert_eq!((form.choices(), form.network()), (both, None));
    assert!(form.is_complete(), "no choice is the routing's to make");
    form.choose(Brand::Amex);
    assert_eq!(form.network(), None);
    form.choose(Brand::CartesBancaires);
    assert_eq!(form.network(), Some(Brand::CartesBancaires));
    // The choice is of this card; another one is asked anew.
    form.read(CO_BADGED, today());
    assert_eq!(form.network(), Some(Brand::CartesBancaires));
    form.read(WHOLE, today());
    assert!(form.choices().is_empty() && form.network().is_none());
    form.read(CO_BADGED, today());
    assert_eq!(form.network(), None);
}

#[test]
fn a_preference_of_the_page_gives_way_to_the_buyer() {
    let mut asks = Asks::default();
    asks.preferred[..2].copy_from_slice(&[Brand::Amex, Brand::CartesBancaires]);
    let mut form = asked(asks, "", CO_BADGED);
    assert_eq!(form.network(), Some(Brand::CartesBancaires));
    form.choose(Brand::Visa);
    assert_eq!(form.network(), Some(Brand::Visa));
    assert_eq!(asked(asks, "", WHOLE).network(), None);
}

#[test]
fn only_allowed_brands_are_taken() {
    let only = |brands: &[Brand]| Asks {
        allowed: Some(brands.iter().copied().collect()),
        ..Asks::default()
    };
    let visa = only(&[Brand::Visa]);
    assert!(asked(visa, "", WHOLE).is_complete());
    for (number, shown) in [
        ("3", Some(Fault::BrandNotAllowed)),
        ("4", None),
        ("5555", Some(Fault::BrandNotAllowed)),
        ("", None),
    ] {
        // A 3 can become no Visa, but what it is nobody knows yet.
        let expected = if number == "3" { None } else { shown };
        let form = asked(visa, "", Entry { number, ..WHOLE });
        assert_eq!(form.first_shown(), expected, "{number}");
    }
    // A co-badge is taken by the network that is, and there is nothing to choose.
    let form = asked(only(&[Brand::CartesBancaires]), "", CO_BADGED);
    assert!(form.is_complete() && form.choices().is_empty());
    assert_eq!(form.network(), Some(Brand::CartesBancaires));
}

#[test]
fn the_cvc_alone_wants_nothing_else() {
    let mut form = Form::cvc_alone(Mode::Live);
    assert!(!form.is_complete());
    assert_eq!(form.submitted(), Some(Fault::CvcIncomplete));
    for (cvc, complete) in [("12", false), ("123", true), ("1234", true)] {
        let entry = Entry {
            cvc,
            ..Entry::default()
        };
        form.read(entry, today());
        assert_eq!(form.is_complete(), complete, "{cvc}");
    }
}
