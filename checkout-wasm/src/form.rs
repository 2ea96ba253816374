//! The form's rules: what the inputs hold, whether it is right, and what the buyer is told when.
//!
//! A [`Form`] keeps facts and never digits: the digits stay in the inputs, are borrowed as an [`Entry`] at each
//! event, and leave through `pan` types at submit. That makes the form `Copy`, one signal, and nothing to wipe.
//!
//! A fault is shown when it is certain (a wrong check digit at the longest length), when the buyer leaves the field,
//! or at submit, whichever comes first; and it stays until it is corrected.

use card::brand::Brands;
use card::own::{Kind, OwnBrand};
use card::{Brand, Month, cvc, expiry, number, test_cards};
use pan::{Country, HolderName};

pub use crate::asks::Asks;
pub use crate::field::{Fault, Field};
use crate::mode::Mode;
use crate::postal;

/// What stands in the inputs, borrowed for the length of one event.
#[derive(Clone, Copy, Default)]
pub struct Entry<'a> {
    /// The number, digits only.
    pub number: &'a str,
    /// The expiry as shown.
    pub expiry: &'a str,
    /// The CVV, digits only.
    pub cvc: &'a str,
    /// The holder's name.
    pub name: &'a str,
    /// The postal code.
    pub postal_code: &'a str,
    /// Whether the checkbox is ticked.
    pub save: bool,
}

/// The facts of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    mode: Mode,
    /// Whether the CVV is asked for alone, for a card that is stored already.
    cvc_alone: bool,
    asks: Asks,
    country: Option<Country>,
    own: &'static [OwnBrand<'static>],
    brand: Kind<'static>,
    possible: Brands,
    networks: Brands,
    choice: Option<Brand>,
    statuses: [Status; Field::ALL.len()],
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
            fault,
            shown: false,
        };
        Self {
            mode,
            cvc_alone: false,
            asks: Asks::default(),
            country: None,
            own: &[],
            brand: Kind::Listed(Brand::Unknown),
            possible: Brand::possible(""),
            networks: Brands::default(),
            choice: None,
            statuses: [
                empty(Some(Fault::NumberIncomplete)),
                empty(Some(Fault::ExpiryIncomplete)),
                empty(Some(Fault::CvcIncomplete)),
                empty(None),
                empty(None),
                empty(None),
            ],
        }
    }

    /// An empty form that asks for the CVV alone.
    #[must_use]
    pub fn cvc_alone(mode: Mode) -> Self {
        let mut form = Self::new(mode);
        form.cvc_alone = true;
        for absent in [Field::Number, Field::Expiry] {
            form.statuses[absent as usize].fault = None;
        }
        form
    }

    /// The page asks for other things now.
    pub fn ask(&mut self, asks: Asks, country: Option<Country>) {
        self.asks = asks;
        self.country = country;
    }

    /// The merchant's own brands: the vault names them with the field session.
    pub fn register(&mut self, own: &'static [OwnBrand<'static>]) {
        self.own = own;
    }

    /// The merchant's own brands.
    #[must_use]
    pub fn own(&self) -> &'static [OwnBrand<'static>] {
        self.own
    }

    /// What the page asks for.
    #[must_use]
    pub fn asks(&self) -> Asks {
        self.asks
    }

    /// The country whose postal codes are meant.
    #[must_use]
    pub fn country(&self) -> Option<Country> {
        self.country
    }

    /// Takes in what the inputs hold now.
    pub fn read(&mut self, entry: Entry<'_>, today: Month) {
        self.brand = Kind::of(entry.number, self.own);
        (self.possible, self.networks) = match self.brand {
            Kind::Listed(_) => (Brand::possible(entry.number), Brand::networks(entry.number)),
            Kind::Own(_) => Default::default(),
        };
        if !self
            .open_networks()
            .contains(self.choice.unwrap_or(Brand::Unknown))
        {
            self.choice = None;
        }
        let mut findings = [
            self.number_finding(entry.number),
            expiry_finding(entry.expiry, today),
            cvc_finding(entry.cvc, self.brand),
            self.asks.name.then(|| name_finding(entry.name)).flatten(),
            self.postal_finding(entry.postal_code),
            None,
        ];
        if self.cvc_alone {
            findings[Field::Number as usize] = None;
            findings[Field::Expiry as usize] = None;
        }
        let empty = [
            entry.number.is_empty(),
            entry.expiry.is_empty(),
            entry.cvc.is_empty(),
            entry.name.is_empty(),
            entry.postal_code.is_empty(),
            !entry.save,
        ];
        for ((status, finding), empty) in self.statuses.iter_mut().zip(findings).zip(empty) {
            let certain = finding.is_some_and(|(_, certain)| certain);
            status.fault = finding.map(|(fault, _)| fault);
            // An emptied field is not wrong yet; one that was empty when Pay was pressed stays so until it is filled.
            let emptied = empty && !status.empty;
            status.shown = status.fault.is_some() && !emptied && (status.shown || certain);
            status.empty = empty;
        }
    }

    /// The buyer left a field: what is wrong with it may be said. An empty field is not wrong yet.
    pub fn left(&mut self, field: Field) {
        let status = &mut self.statuses[field as usize];
        status.shown |= !status.empty && status.fault.is_some();
    }

    /// The buyer wants to pay: everything wrong is said. The first field at fault, if any.
    pub fn submitted(&mut self) -> Option<Fault> {
        for status in &mut self.statuses {
            status.shown = status.fault.is_some();
        }
        self.first_shown()
    }

    /// The vault found a fault that the rules here did not. One of a field that is not there is the page's to handle.
    pub fn refused(&mut self, fault: Fault) {
        if self.asks.has(fault.field()) {
            let status = &mut self.statuses[fault.field() as usize];
            status.fault = Some(fault);
            status.shown = true;
        }
    }

    /// The fault to show beside a field.
    #[must_use]
    pub fn shown(&self, field: Field) -> Option<Fault> {
        let status = &self.statuses[field as usize];
        status.fault.filter(|_| status.shown)
    }

    /// The first fault that is shown.
    #[must_use]
    pub fn first_shown(&self) -> Option<Fault> {
        Field::ALL.into_iter().find_map(|field| self.shown(field))
    }

    /// Whether nothing is typed anywhere. A tick is nothing typed: it makes no card that could be incomplete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut typed = Field::ALL.into_iter().filter(|field| *field != Field::Save);
        typed.all(|field| self.is_empty_at(field))
    }

    /// Whether the card may be sealed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.statuses.iter().all(|status| status.fault.is_none())
    }

    /// Whether nothing is typed in a field.
    #[must_use]
    pub fn is_empty_at(&self, field: Field) -> bool {
        self.statuses[field as usize].empty
    }

    /// Whether a field has what it needs.
    #[must_use]
    pub fn is_complete_at(&self, field: Field) -> bool {
        self.statuses[field as usize].fault.is_none()
    }

    /// The brand of the number so far.
    #[must_use]
    pub fn brand(&self) -> Kind<'static> {
        self.brand
    }

    /// The listed brands that the number may still have; none where it has one of the merchant's own.
    #[must_use]
    pub fn possible(&self) -> Brands {
        self.possible
    }

    /// The networks between which the buyer may choose: more than one on a co-badged card, else none.
    #[must_use]
    pub fn choices(&self) -> Brands {
        let open = self.open_networks();
        if open.len() > 1 {
            open
        } else {
            Brands::default()
        }
    }

    /// The buyer picks a network; one that is not offered is no choice.
    pub fn choose(&mut self, network: Brand) {
        if self.choices().contains(network) {
            self.choice = Some(network);
        }
    }

    /// The network to pay through: the buyer's choice, else the page's preference, else the only one of several that
    /// the page takes. None leaves it to whoever routes the payment.
    #[must_use]
    pub fn network(&self) -> Option<Brand> {
        let open = self.open_networks();
        let mut preferred = self.asks.preferred.into_iter();
        match open.len() {
            0 => None,
            1 => open.into_iter().next().filter(|_| self.networks.len() > 1),
            _ => self
                .choice
                .or_else(|| preferred.find(|network| open.contains(*network))),
        }
    }

    fn open_networks(&self) -> Brands {
        self.asks.taken(self.networks)
    }

    fn number_finding(&self, digits: &str) -> Finding {
        // A 13-digit Visa may be the beginning of a 16-digit one, so a refusal by mode waits for the common length.
        let long_enough = digits.len() >= self.brand.max_length().min(16);
        // What the operator registered for the key is taken in either mode, whatever the page says.
        let is_own = matches!(self.brand, Kind::Own(_));
        let finding = match (number::state_of(digits, self.brand), self.mode) {
            (number::State::Empty, _) => Some((Fault::NumberIncomplete, false)),
            (number::State::Invalid, _) => Some((Fault::NumberInvalid, true)),
            (number::State::Incomplete, _) if number::is_mistyped(digits, self.brand) => {
                Some((Fault::NumberInvalid, false))
            }
            (number::State::Incomplete, _) => Some((Fault::NumberIncomplete, false)),
            (number::State::Valid, Mode::Test)
                if !is_own && !test_cards::is_test_number(digits) =>
            {
                Some((Fault::LiveCardInTestMode, long_enough))
            }
            (number::State::Valid, Mode::Live) if test_cards::is_test_number(digits) => {
                Some((Fault::TestCardInLiveMode, long_enough))
            }
            (number::State::Valid, _) => None,
        };
        // A refused brand is said as soon as the number can be of no other.
        let is_settled = self.asks.taken(self.possible).is_empty();
        let is_taken = is_own || !self.open_networks().is_empty() || self.asks.allowed.is_none();
        if digits.is_empty() || is_taken {
            finding
        } else if is_settled && !self.brand.is_unknown() {
            Some((Fault::BrandNotAllowed, true))
        } else {
            finding.or(Some((Fault::BrandNotAllowed, long_enough)))
        }
    }

    fn postal_finding(&self, text: &str) -> Finding {
        if !self.asks.postal_code || (text.is_empty() && !postal::is_used_in(self.country)) {
            None
        } else if text.is_empty() {
            Some((Fault::PostalCodeIncomplete, false))
        } else {
            let is_valid = postal::is_valid(self.country, text);
            (!is_valid).then_some((Fault::PostalCodeInvalid, false))
        }
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

fn cvc_finding(digits: &str, kind: Kind<'_>) -> Finding {
    match cvc::state(digits, kind) {
        cvc::State::Valid => None,
        cvc::State::Empty | cvc::State::Incomplete => Some((Fault::CvcIncomplete, false)),
        cvc::State::Invalid => Some((Fault::CvcInvalid, true)),
    }
}

fn name_finding(text: &str) -> Finding {
    if text.trim().is_empty() {
        return Some((Fault::NameIncomplete, false));
    }
    HolderName::parse(text)
        .is_err()
        .then_some((Fault::NameInvalid, false))
}

#[cfg(test)]
mod tests;
