//! What a payment says of itself beyond the money: the cardholder's authentication, and who initiated it with which
//! credential. Read by every dialect, judged here for the issuer.

use serde::Deserialize;
use store::{Error, Tx, params};

use super::cards::{Wants, soft_decline};
use super::records;
use crate::dialects::Problem;
use crate::issuer::{APPROVED, Decision};

/// `63`: an authentication value that is not this card's, not this payment's, or was used.
pub(crate) const SECURITY_VIOLATION: &str = "63";

/// What a request says.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Terms {
    #[serde(default)]
    pub(crate) three_d_secure: Option<Presented>,
    #[serde(default)]
    pub(crate) credential_on_file: Option<Credential>,
    #[serde(default)]
    pub(crate) sca_exemption: Option<Exemption>,
}

/// Why the acquirer asks the issuer to do without an authentication (PSD2's technical standards, articles 16 and 18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exemption {
    LowValue,
    TransactionRiskAnalysis,
}

impl Exemption {
    /// From the words of a dialect that has them as text.
    pub(crate) fn of_word(word: Option<String>) -> Result<Option<Self>, Problem> {
        match word.as_deref() {
            None => Ok(None),
            Some("low_value") => Ok(Some(Self::LowValue)),
            Some("transaction_risk_analysis") => Ok(Some(Self::TransactionRiskAnalysis)),
            Some(_) => Err(Problem::field("sca_exemption")),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::LowValue => "low_value",
            Self::TransactionRiskAnalysis => "transaction_risk_analysis",
        }
    }
}

/// The values of an authentication.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Presented {
    pub(crate) eci: Option<String>,
    pub(crate) cavv: Option<String>,
    pub(crate) ds_transaction_id: Option<String>,
    pub(crate) version: Option<String>,
}

/// Who initiated the payment, with which credential.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Credential {
    pub(crate) initiator: Initiator,
    /// The card is to be kept (`first`), or was kept (`stored`).
    pub(crate) credential: Kept,
    /// The scheme's id of the payment that set the card up.
    #[serde(default)]
    pub(crate) network_transaction_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Initiator {
    Customer,
    Merchant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kept {
    First,
    Stored,
}

impl Credential {
    /// From the words of a dialect that has them as text; None when it says nothing of it.
    pub(crate) fn of_words(
        initiator: Option<String>,
        credential: Option<String>,
        network_transaction_id: Option<String>,
    ) -> Result<Option<Self>, Problem> {
        let initiator = match initiator.as_deref() {
            None if credential.is_none() => return Ok(None),
            Some("customer") => Initiator::Customer,
            Some("merchant") => Initiator::Merchant,
            _ => return Err(Problem::field("initiator")),
        };
        let credential = match credential.as_deref() {
            Some("first") => Kept::First,
            Some("stored") => Kept::Stored,
            _ => return Err(Problem::field("credential")),
        };
        Ok(Some(Self {
            initiator,
            credential,
            network_transaction_id,
        }))
    }
}

impl Terms {
    /// The name of a field that holds something it cannot.
    pub(crate) fn wrong_field(&self) -> Option<&'static str> {
        let values = self.three_d_secure.as_ref()?;
        let all = |text: &Option<String>, most: usize| {
            text.as_deref().is_none_or(|text| {
                (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
            })
        };
        [
            ("three_d_secure.eci", all(&values.eci, 2)),
            ("three_d_secure.cavv", all(&values.cavv, 64)),
            (
                "three_d_secure.ds_transaction_id",
                all(&values.ds_transaction_id, 36),
            ),
            ("three_d_secure.version", all(&values.version, 8)),
        ]
        .into_iter()
        .find_map(|(name, fits)| (!fits).then_some(name))
    }

    /// The issuer's answer: `decision` is what it would say of an authenticated payment.
    pub(crate) fn judge(
        &self,
        tx: &mut Tx<'_>,
        payment: &Judged<'_>,
        decision: Decision,
    ) -> Result<Decision, Error> {
        let no = |code: &'static str| Decision { code, ..decision };
        let values = self.three_d_secure.as_ref();
        if let Some(values) = values.filter(|values| values.cavv.is_some()) {
            let known = records::matches(tx, payment, values)?;
            return Ok(if known {
                decision
            } else {
                no(SECURITY_VIOLATION)
            });
        }
        let merchant_initiated = self
            .credential_on_file
            .as_ref()
            .is_some_and(|c| c.initiator == Initiator::Merchant);
        let satisfied = match payment.wants {
            Wants::Nothing => true,
            Wants::Always => false,
            // It grants what it is asked for; the issuers that always want an authentication do not.
            Wants::UnlessSetUp | Wants::OnSession if self.sca_exemption.is_some() => true,
            Wants::OnSession => merchant_initiated,
            Wants::UnlessSetUp => {
                merchant_initiated && records::is_set_up(tx, payment.card_hmac.as_ref())?
            }
        };
        // Who pays comes before whether there is money; a card that is none, or no more, comes before both.
        let about_the_card = !matches!(decision.code, APPROVED | "05" | "51");
        Ok(if satisfied || about_the_card {
            decision
        } else {
            no(soft_decline(payment.brand))
        })
    }

    /// Writes them into the payment's row; an approval uses the authentication up.
    pub(crate) fn record(
        &self,
        tx: &mut Tx<'_>,
        payment_id: &str,
        payment: &Judged<'_>,
        approved: bool,
    ) -> Result<(), Error> {
        let values = self.three_d_secure.clone().unwrap_or_default();
        let credential = self.credential_on_file.as_ref();
        tx.execute(
            "update payments set eci = $2, ds_trans_id = $3, initiator = $4, credential = $5,
                 previous_network_transaction_id = $6, sca_exemption = $7 where id = $1",
            params![
                payment_id,
                values.eci,
                values.ds_transaction_id,
                credential.map(|c| match c.initiator {
                    Initiator::Customer => "customer".to_owned(),
                    Initiator::Merchant => "merchant".to_owned(),
                }),
                credential.map(|c| match c.credential {
                    Kept::First => "first".to_owned(),
                    Kept::Stored => "stored".to_owned(),
                }),
                credential.and_then(|c| c.network_transaction_id.clone()),
                self.sca_exemption
                    .map(|exemption| exemption.word().to_owned()),
            ],
        )?;
        if let Some(cavv) = values.cavv.filter(|_| approved) {
            tx.execute(
                "update authentications set used_by = $2 where cavv = $1 and used_by is null",
                params![cavv, payment.reference],
            )?;
        }
        Ok(())
    }
}

/// The payment that is judged.
pub(crate) struct Judged<'a> {
    pub(crate) reference: &'a str,
    pub(crate) amount: i64,
    pub(crate) brand: &'a str,
    pub(crate) card_hmac: Option<[u8; 32]>,
    pub(crate) wants: Wants,
}
