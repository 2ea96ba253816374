//! The fields of the form and what may be wrong with each.

/// The fields, in tab order. The last three are there only when the page asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// The card number.
    Number,
    /// The expiry month.
    Expiry,
    /// The CVV.
    Cvc,
    /// The holder's name.
    Name,
    /// The holder's postal code.
    PostalCode,
    /// The checkbox: save the card. Nothing can be wrong with it.
    Save,
}

impl Field {
    /// All of them, in tab order.
    pub const ALL: [Self; 6] = [
        Self::Number,
        Self::Expiry,
        Self::Cvc,
        Self::Name,
        Self::PostalCode,
        Self::Save,
    ];

    /// Those of the card itself.
    pub const CARD: [Self; 3] = [Self::Number, Self::Expiry, Self::Cvc];

    /// Those that are there only when the page asks for them.
    pub const EXTRA: [Self; 3] = [Self::Name, Self::PostalCode, Self::Save];

    /// The `id` of its input.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Expiry => "expiry",
            Self::Cvc => "cvc",
            Self::Name => "name",
            Self::PostalCode => "postal",
            Self::Save => "save",
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
    /// The page takes other brands only.
    BrandNotAllowed,
    /// The key takes credit, debit or prepaid cards, and this is another. The vault alone can tell.
    FundingNotAllowed,
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
    /// No name.
    NameIncomplete,
    /// Not a name: a number, or too long.
    NameInvalid,
    /// No postal code.
    PostalCodeIncomplete,
    /// Not a postal code of the country.
    PostalCodeInvalid,
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
            Self::BrandNotAllowed => "brand_not_allowed",
            Self::FundingNotAllowed => "funding_not_allowed",
            Self::ExpiryIncomplete => "incomplete_expiry",
            Self::ExpiryInvalid => "invalid_expiry",
            Self::ExpiryPast => "invalid_expiry_year_past",
            Self::CvcIncomplete => "incomplete_cvc",
            Self::CvcInvalid => "invalid_cvc",
            Self::NameIncomplete => "incomplete_name",
            Self::NameInvalid => "invalid_name",
            Self::PostalCodeIncomplete => "incomplete_postal_code",
            Self::PostalCodeInvalid => "invalid_postal_code",
        }
    }

    /// The field it belongs to.
    #[must_use]
    pub fn field(self) -> Field {
        match self {
            Self::NumberIncomplete
            | Self::NumberInvalid
            | Self::LiveCardInTestMode
            | Self::TestCardInLiveMode
            | Self::BrandNotAllowed
            | Self::FundingNotAllowed => Field::Number,
            Self::ExpiryIncomplete | Self::ExpiryInvalid | Self::ExpiryPast => Field::Expiry,
            Self::CvcIncomplete | Self::CvcInvalid => Field::Cvc,
            Self::NameIncomplete | Self::NameInvalid => Field::Name,
            Self::PostalCodeIncomplete | Self::PostalCodeInvalid => Field::PostalCode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_the_id_of_their_input() {
        for (at, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(Field::of_id(field.id()), Some(field));
            assert_eq!(field as usize, at);
        }
        assert_eq!(Field::of_id("nonesuch"), None);
    }
}
