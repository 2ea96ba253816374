//! The form's rules: what the three inputs hold, whether it is right, and what the buyer is told when.
//!
//! A [`Form`] keeps facts and never digits: the digits stay in the inputs, are borrowed as an [`Entry`] at each
//! event, and leave through `pan` types at submit. That makes the form `Copy`, one signal, and nothing to wipe.
//!
//! A fault is shown when it is certain (a wrong check digit at the longest length), when the buyer leaves the field,
//! or at submit, whichever comes first; and it stays until it is corrected.

use card::{Brand, Month, cvc, expiry, number, test_cards};

use crate::mode::Mode;

/// The three fields, in tab order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The card number.
    Number,
    /// The expiry month.
    Expiry,
    /// The CVV.
    Cvc,
}

impl Field {
    /// All of them, in tab order.
    pub const ALL: [Self; 3] = [Self::Number, Self::Expiry, Self::Cvc];

    /// The `id` of its input.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Expiry => "expiry",
            Self::Cvc => "cvc",
        }
    }

    /// The field whose input has this `id`.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.id() == id)
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No number, or not all of it.
    NumberIncomplete,
    /// Not a card number.
    NumberInvalid,
    /// A real card in test mode.
    LiveCardInTestMode,
    /// A test card in live mode.
    TestCardInLiveMode,
    /// No expiry date, or not all of it.
    ExpiryIncomplete,
    /// No such month, or a year too far ahead.
    ExpiryInvalid,
    /// The card has expired.
    ExpiryPast,
    /// No CVV, or not all of it.
    CvcIncomplete,
    /// Not a CVV of this brand.
    CvcInvalid,
}

impl Fault {
    /// The code in `change` events and errors, as Stripe.js spells it where it has one.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NumberIncomplete => "incomplete_number",
            Self::NumberInvalid => "invalid_number",
            Self::LiveCardInTestMode => "live_card_in_test_mode",
            Self::TestCardInLiveMode => "test_card_in_live_mode",
            Self::ExpiryIncomplete => "incomplete_expiry",
            Self::ExpiryInvalid => "invalid_expiry",
            Self::ExpiryPast => "invalid_expiry_year_past",
            Self::CvcIncomplete => "incomplete_cvc",
            Self::CvcInvalid => "invalid_cvc",
        }
    }

    /// The field it belongs to.
    #[must_use]
    pub fn field(self) -> Field {
        match self {
            Self::NumberIncomplete
            | Self::NumberInvalid
            | Self::LiveCardInTestMode
            | Self::TestCardInLiveMode => Field::Number,
            Self::ExpiryIncomplete | Self::ExpiryInvalid | Self::ExpiryPast => Field::Expiry,
            Self::CvcIncomplete | Self::CvcInvalid => Field::Cvc,
        }
    }
}

/// What stands in the inputs, borrowed for the length of one event.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// The number, digits only.
    pub number: &'a str,
    /// The expiry as shown.
    pub expiry: &'a str,
    /// The CVV, digits only.
    pub cvc: &'a str,
}

/// The facts of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    mode: Mode,
    brand: Brand,
    statuses: [Status; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Status {
    empty: bool,
    fault: Option<Fault>,
    shown: bool,
}

/// A fault, and whether it is one however the buyer goes on typing.
type Finding = Option<(Fault, bool)>;

impl Form {
    /// An empty form.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        let empty = |fault| Status {
            empty: true,
            fault: Some(fault),
            shown: false,
        };
        Self {
            mode,
            brand: Brand::Unknown,
            statuses: [
                empty(Fault::NumberIncomplete),
                empty(Fault::ExpiryIncomplete),
                empty(Fault::CvcIncomplete),
            ],
        }
    }

    /// Takes in what the inputs hold now.
    pub fn read(&mut self, entry: Entry<'_>, today: Month) {
        self.brand = Brand::of(entry.number);
        let findings = [
            number_finding(entry.number, self.mode),
            expiry_finding(entry.expiry, today),
            cvc_finding(entry.cvc, self.brand),
        ];
        let empty = [entry.number, entry.expiry, entry.cvc].map(str::is_empty);
        for ((status, finding), empty) in self.statuses.iter_mut().zip(findings).zip(empty) {
            let certain = finding.is_some_and(|(_, certain)| certain);
            status.fault = finding.map(|(fault, _)| fault);
            status.shown = status.fault.is_some() && !empty && (status.shown || certain);
            status.empty = empty;
        }
    }

    /// The buyer left a field: what is wrong with it may be said. An empty field is not wrong yet.
    pub fn left(&mut self, field: Field) {
        let status = self.status_mut(field);
        status.shown |= !status.empty && status.fault.is_some();
    }

    /// The buyer wants to pay: everything wrong is said. The first field at fault, if any.
    pub fn submitted(&mut self) -> Option<Fault> {
        for status in &mut self.statuses {
            status.shown = status.fault.is_some();
        }
        self.first_shown()
    }

    /// The vault found a fault that the rules here did not.
    pub fn refused(&mut self, fault: Fault) {
        let status = self.status_mut(fault.field());
        status.fault = Some(fault);
        status.shown = true;
    }

    /// The fault to show beside a field.
    #[must_use]
    pub fn shown(&self, field: Field) -> Option<Fault> {
        let status = self.status(field);
        status.fault.filter(|_| status.shown)
    }

    /// The first fault that is shown.
    #[must_use]
    pub fn first_shown(&self) -> Option<Fault> {
        Field::ALL.into_iter().find_map(|field| self.shown(field))
    }

    /// Whether nothing is typed anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statuses.iter().all(|status| status.empty)
    }

    /// Whether the card may be sealed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.statuses.iter().all(|status| status.fault.is_none())
    }

    /// The brand of the number so far.
    #[must_use]
    pub fn brand(&self) -> Brand {
        self.brand
    }

    fn status(&self, field: Field) -> &Status {
        let [number, expiry, cvc] = &self.statuses;
        match field {
            Field::Number => number,
            Field::Expiry => expiry,
            Field::Cvc => cvc,
        }
    }

    fn status_mut(&mut self, field: Field) -> &mut Status {
        let [number, expiry, cvc] = &mut self.statuses;
        match field {
            Field::Number => number,
            Field::Expiry => expiry,
            Field::Cvc => cvc,
        }
    }
}

fn number_finding(digits: &str, mode: Mode) -> Finding {
    // A 13-digit Visa may be the beginning of a 16-digit one, so a refusal by mode waits for the common length.
    let long_enough = digits.len() >= Brand::of(digits).max_length().min(16);
    match (number::state(digits), mode) {
        (number::State::Empty, _) => Some((Fault::NumberIncomplete, false)),
        (number::State::Invalid, _) => Some((Fault::NumberInvalid, true)),
        (number::State::Incomplete, _) if number::is_mistyped(digits) => {
            Some((Fault::NumberInvalid, false))
        }
        (number::State::Incomplete, _) => Some((Fault::NumberIncomplete, false)),
        (number::State::Valid, Mode::Test) if !test_cards::is_test_number(digits) => {
            Some((Fault::LiveCardInTestMode, long_enough))
        }
        (number::State::Valid, Mode::Live) if test_cards::is_test_number(digits) => {
            Some((Fault::TestCardInLiveMode, long_enough))
        }
        (number::State::Valid, _) => None,
    }
}

fn expiry_finding(text: &str, today: Month) -> Finding {
    match expiry::parse(text, today) {
        Ok(_) => None,
        Err(expiry::Error::Empty | expiry::Error::Incomplete) => {
            Some((Fault::ExpiryIncomplete, false))
        }
        Err(expiry::Error::Month | expiry::Error::Far) => Some((Fault::ExpiryInvalid, true)),
        // `12 / 20` may become `12 / 2028`.
        Err(expiry::Error::Past) => Some((Fault::ExpiryPast, !text.ends_with("20"))),
    }
}

fn cvc_finding(digits: &str, brand: Brand) -> Finding {
    match cvc::state(digits, brand) {
        cvc::State::Valid => None,
        cvc::State::Empty | cvc::State::Incomplete => Some((Fault::CvcIncomplete, false)),
        cvc::State::Invalid => Some((Fault::CvcInvalid, true)),
    }
}

#[cfg(test)]
mod tests {
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
            },
            today(),
        );
        form
    }

    #[test]
    fn a_whole_card_is_complete() {
        let form = form(Mode::Test, "4242424242424242", "12 / 30", "123");
        assert!(form.is_complete() && !form.is_empty());
        assert_eq!((form.brand(), form.first_shown()), (Brand::Visa, None));
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
                    expiry: "",
                    cvc: "",
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
            },
            today(),
        );
        assert_eq!(form.first_shown(), None);
    }

    #[test]
    fn fields_are_found_by_the_id_of_their_input() {
        for field in Field::ALL {
            assert_eq!(Field::of_id(field.id()), Some(field));
        }
        assert_eq!(Field::of_id("name"), None);
    }
}
