//! The documents that the vault serves, by the name in the frame's address. Each holds the fields it is for and no other.

use crate::form::Field;

/// A document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// All fields in one frame.
    Card,
    /// The CVV alone, for a card that is stored already.
    Cvc,
    /// No field: it drives the field pages beside it.
    Split,
    /// One field of a split form: a page without wasm.
    Field(Field),
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Card,
        Self::Cvc,
        Self::Split,
        Self::Field(Field::Number),
        Self::Field(Field::Expiry),
        Self::Field(Field::Cvc),
        Self::Field(Field::Name),
        Self::Field(Field::PostalCode),
        Self::Field(Field::Save),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Cvc => "cvc",
            Self::Split => "split",
            Self::Field(Field::Number) => "field-number",
            Self::Field(Field::Expiry) => "field-expiry",
            Self::Field(Field::Cvc) => "field-cvc",
            Self::Field(Field::Name) => "field-name",
            Self::Field(Field::PostalCode) => "field-postal",
            Self::Field(Field::Save) => "field-save",
        }
    }

    /// The layout of this name; of none, the whole card.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let known = Self::ALL.into_iter().find(|layout| layout.name() == name);
        known.unwrap_or(Self::Card)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for layout in Layout::ALL {
            assert_eq!(Layout::of_name(layout.name()), layout);
        }
        assert_eq!(Layout::of_name(""), Layout::Card);
    }
}
