//! What the page asks the form for: optional fields, the brands it takes, the network it would rather have.

use card::Brand;
use card::brand::Brands;

use crate::field::Field;

/// What the page asks for; nothing but the card itself unless it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asks {
    /// The holder's name.
    pub name: bool,
    /// The holder's postal code.
    pub postal_code: bool,
    /// The holder's country, to be picked.
    pub country: bool,
    /// A checkbox: save the card.
    pub save: bool,
    /// The brands it takes, if not all.
    pub allowed: Option<Brands>,
    /// The networks it would rather use on a co-badged card, the best first; the buyer may choose otherwise.
    pub preferred: [Brand; 4],
}

impl Default for Asks {
    fn default() -> Self {
        Self {
            name: false,
            postal_code: false,
            country: false,
            save: false,
            allowed: None,
            preferred: [Brand::Unknown; 4],
        }
    }
}

impl Asks {
    /// Whether the form has this field.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        match field {
            Field::Number | Field::Expiry | Field::Cvc => true,
            Field::Name => self.name,
            Field::PostalCode => self.postal_code,
            Field::Save => self.save,
        }
    }

    /// Of these networks, those that the page takes.
    #[must_use]
    pub fn taken(&self, networks: Brands) -> Brands {
        self.allowed
            .map_or(networks, |allowed| networks.and(allowed))
    }
}
