//! A stored card as it stands in an export: one line of JSON, in a buffer that is wiped.

use card::{Brand, Expiry};
use pan::{Country, HolderName, Pan, PostalCode};
use serde::{Deserialize, Serialize};
use vault_api::keys::Mode;
use vault_api::tokens::{CardSummary, Networks, StoredCard};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::envelope::{Holder, OpenedCard};

/// Longer than any line: a name of 100 characters of four bytes, each field with its name.
pub const LONGEST: usize = 1024;

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    created: i64,
    number: &'a str,
    exp_month: u8,
    exp_year: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a str>,
}

/// Writes a card's line.
///
/// # Errors
/// Never on a buffer that has room.
#[expect(
    clippy::disallowed_methods,
    reason = "the card is written into a buffer that is sealed to the receiver's key and wiped"
)]
pub fn write(
    out: &mut Zeroizing<Vec<u8>>,
    stored: &StoredCard,
    opened: &OpenedCard,
) -> anyhow::Result<()> {
    let networks = stored.card.networks.as_ref();
    let holder = &opened.holder;
    let line = Line {
        id: &stored.id,
        created: stored.created,
        number: opened.number.expose(),
        exp_month: stored.card.exp_month,
        exp_year: stored.card.exp_year,
        name: holder.name.as_ref().map(HolderName::expose),
        postal_code: holder.postal_code.as_ref().map(PostalCode::expose),
        country: holder.country.as_ref().map(Country::as_str),
        network: networks.and_then(|networks| networks.preferred.as_deref()),
    };
    serde_json::to_writer(&mut **out, &line)?;
    out.push(b'\n');
    Ok(())
}

/// A line as it arrives; wiped on drop. It has no Debug, like what it becomes.
#[derive(Deserialize, Zeroize)]
#[zeroize(drop)]
#[serde(deny_unknown_fields)]
struct Arriving {
    id: String,
    created: i64,
    number: String,
    exp_month: u8,
    exp_year: u16,
    name: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
    network: Option<String>,
}

/// A card that arrived.
pub struct Arrived {
    /// Its id where it comes from.
    pub id: String,
    /// When it was stored there, Unix seconds.
    pub created: i64,
    /// The card, or why it is none: `malformed`, or `other_mode` for a test card in live mode and the reverse.
    pub card: Result<(OpenedCard, CardSummary), &'static str>,
}

/// Reads a line; none when it is not even JSON of a line.
#[must_use]
pub fn read(line: &[u8], mode: Mode) -> Option<Arrived> {
    // serde's words may quote what they choke on: they are dropped.
    let line: Arriving = serde_json::from_slice(line).ok()?;
    Some(Arrived {
        id: line.id.clone(),
        created: line.created,
        card: card(&line, mode),
    })
}

// Brand and networks are this vault's to say, from the number; an expiry that is over is kept: the card may be renewed.
fn card(line: &Arriving, mode: Mode) -> Result<(OpenedCard, CardSummary), &'static str> {
    let malformed = |_| "malformed";
    let id = line.id.strip_prefix("card_");
    if !id.is_some_and(|id| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
    }) {
        return Err("malformed");
    }
    let number = Pan::parse(&line.number).map_err(malformed)?;
    if number.is_test_number() == mode.is_live() {
        return Err("other_mode");
    }
    let expiry = Expiry::new(line.exp_year, line.exp_month).ok_or("malformed")?;
    let parts = (
        line.name.as_deref().map(HolderName::parse).transpose(),
        line.postal_code
            .as_deref()
            .map(PostalCode::parse)
            .transpose(),
        line.country.as_deref().map(Country::parse).transpose(),
    );
    let holder = Holder {
        name: parts.0.map_err(malformed)?,
        postal_code: parts.1.map_err(malformed)?,
        country: parts.2.map_err(malformed)?,
    };
    let id = |brand: Brand| brand.facts().id.to_owned();
    let available: Vec<String> = number.networks().into_iter().map(id).collect();
    let summary = CardSummary {
        brand: id(number.brand()),
        last4: number.last4().to_owned(),
        exp_month: expiry.month(),
        exp_year: expiry.year(),
        networks: Some(Networks {
            preferred: line
                .network
                .clone()
                .filter(|network| available.contains(network)),
            available,
        }),
    };
    Ok((OpenedCard { number, holder }, summary))
}
