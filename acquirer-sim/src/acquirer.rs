//! The three acquirers of this program: a dialect each, with a book, references, credentials and terms of its own.

use serde::{Deserialize, Serialize};

/// An acquirer, named by the dialect it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acquirer {
    /// Nested JSON, Bearer key, money in smallest units; pays out the next day.
    Json,
    /// Names and values in a form, Basic credentials, money as decimals; pays out on the second day.
    Form,
    /// XML documents, a merchant header, money with an exponent; pays out the next day.
    Xml,
}

impl Acquirer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Form, Self::Xml];

    /// Its name, on the command line and in the book.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Form => "form",
            Self::Xml => "xml",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Days from a batch's own day to the day its money is there.
    pub(crate) fn value_days(self) -> i64 {
        match self {
            Self::Json | Self::Xml => 1,
            Self::Form => 2,
        }
    }

    /// What it keeps of a capture (interchange, scheme and its own fee), rounded half up; never more than the capture.
    pub(crate) fn fee(self, amount: i64) -> i64 {
        let (basis_points, fixed) = match self {
            Self::Json => (190, 10),
            Self::Form => (160, 20),
            Self::Xml => (145, 15),
        };
        ((amount * basis_points + 5_000).div_euclid(10_000) + fixed).min(amount)
    }

    /// What its own ids begin with.
    pub(crate) fn id_prefix(self) -> &'static str {
        match self {
            Self::Json => "nb_",
            Self::Form => "SB",
            Self::Xml => "eb-",
        }
    }

    /// A caller's reference as the shared table keeps it: two acquirers may see the same one. A space cannot be in a
    /// reference.
    pub(crate) fn key(self, reference: &str) -> String {
        match self {
            Self::Json => reference.to_owned(),
            other => format!("{} {reference}", other.name()),
        }
    }
}

/// The caller's reference of a [key](Acquirer::key).
pub(crate) fn reference_of(key: &str) -> String {
    key.split_once(' ')
        .map_or(key, |(_, reference)| reference)
        .to_owned()
}
