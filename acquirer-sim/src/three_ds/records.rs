//! What the issuers keep of authentications. A result is set once; an authentication value is good for one approval.

use store::{Error, Row, Tx, params};

use super::terms::{Judged, Presented};

/// An authentication.
#[derive(Debug, Clone)]
pub(crate) struct Authentication {
    pub(crate) acs_trans_id: String,
    pub(crate) ds_trans_id: String,
    pub(crate) server_trans_id: String,
    pub(crate) card_hmac: [u8; 32],
    pub(crate) brand: String,
    pub(crate) last4: String,
    pub(crate) message_version: String,
    pub(crate) category: String,
    pub(crate) merchant_name: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) exponent: i64,
    pub(crate) results_url: String,
    pub(crate) notification_url: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) cancel: Option<String>,
    pub(crate) challenged: bool,
    pub(crate) gives_up_after: Option<i64>,
    pub(crate) session_data: Option<String>,
    pub(crate) eci: Option<String>,
    pub(crate) cavv: Option<String>,
    pub(crate) acknowledged: bool,
    pub(crate) created_at: i64,
}

const COLUMNS: &str = "acs_trans_id, ds_trans_id, server_trans_id, card_hmac, brand, last4, message_version, category, \
    merchant_name, amount, currency, exponent, results_url, notification_url, status, reason, cancel, challenged, \
    gives_up_after, session_data, eci, cavv, acknowledged, created_at";

impl Authentication {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let hmac: Vec<u8> = row.get(3)?;
        Ok(Self {
            acs_trans_id: row.get(0)?,
            ds_trans_id: row.get(1)?,
            server_trans_id: row.get(2)?,
            card_hmac: hmac.try_into().map_err(|_| Error::Column(3))?,
            brand: row.get(4)?,
            last4: row.get(5)?,
            message_version: row.get(6)?,
            category: row.get(7)?,
            merchant_name: row.get(8)?,
            amount: row.get(9)?,
            currency: row.get(10)?,
            exponent: row.get(11)?,
            results_url: row.get(12)?,
            notification_url: row.get(13)?,
            status: row.get(14)?,
            reason: row.get(15)?,
            cancel: row.get(16)?,
            challenged: row.get(17)?,
            gives_up_after: row.get(18)?,
            session_data: row.get(19)?,
            eci: row.get(20)?,
            cavv: row.get(21)?,
            acknowledged: row.get(22)?,
            created_at: row.get(23)?,
        })
    }

    /// Whether the cardholder is still being asked.
    pub(crate) fn is_open(&self) -> bool {
        self.status == "C"
    }

    /// Inserts it; false when the 3DS Server has used its transaction id before.
    pub(crate) fn insert(&self, tx: &mut Tx<'_>) -> Result<bool, Error> {
        let sql = format!(
            "insert into authentications ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
                 $14, $15, $16, $17, $18, $19, $20, $21, $22, 0, $23) on conflict do nothing"
        );
        let inserted = tx.execute(
            &sql,
            params![
                &self.acs_trans_id,
                &self.ds_trans_id,
                &self.server_trans_id,
                self.card_hmac,
                &self.brand,
                &self.last4,
                &self.message_version,
                &self.category,
                &self.merchant_name,
                self.amount,
                &self.currency,
                self.exponent,
                &self.results_url,
                &self.notification_url,
                &self.status,
                self.reason.clone(),
                self.cancel.clone(),
                self.challenged,
                self.gives_up_after,
                self.session_data.clone(),
                self.eci.clone(),
                self.cavv.clone(),
                self.created_at,
            ],
        )?;
        Ok(inserted == 1)
    }
}

/// The authentication with this ACS transaction id.
pub(crate) fn find(tx: &mut Tx<'_>, acs_trans_id: &str) -> Result<Option<Authentication>, Error> {
    let sql = format!("select {COLUMNS} from authentications where acs_trans_id = $1");
    let row = tx.first(&sql, params![acs_trans_id])?;
    row.as_ref().map(Authentication::from_row).transpose()
}

/// Keeps what the 3DS Server wants back with the CRes.
pub(crate) fn keep_session_data(
    tx: &mut Tx<'_>,
    acs_trans_id: &str,
    data: Option<&str>,
) -> Result<(), Error> {
    tx.execute(
        "update authentications set session_data = $2 where acs_trans_id = $1 and status = 'C'",
        params![acs_trans_id, data.map(str::to_owned)],
    )?;
    Ok(())
}

/// How a challenge ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) status: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) cancel: Option<&'static str>,
    pub(crate) eci: &'static str,
    pub(crate) cavv: Option<String>,
}

/// Ends a challenge; what it ended with when it had ended before.
pub(crate) fn end(
    tx: &mut Tx<'_>,
    acs_trans_id: &str,
    ended: &Ended,
) -> Result<Option<Authentication>, Error> {
    tx.execute(
        "update authentications set status = $2, reason = $3, cancel = $4, eci = $5, cavv = $6
         where acs_trans_id = $1 and status = 'C'",
        params![
            acs_trans_id,
            ended.status,
            ended.reason.map(str::to_owned),
            ended.cancel.map(str::to_owned),
            ended.eci,
            ended.cavv.clone(),
        ],
    )?;
    find(tx, acs_trans_id)
}

/// The 3DS Server has acknowledged the result.
pub(crate) fn acknowledged(tx: &mut Tx<'_>, acs_trans_id: &str) -> Result<(), Error> {
    tx.execute(
        "update authentications set acknowledged = 1 where acs_trans_id = $1",
        params![acs_trans_id],
    )?;
    Ok(())
}

/// Whether the presented values are an authentication of this very card, for no less than this amount, not used yet.
pub(crate) fn matches(
    tx: &mut Tx<'_>,
    payment: &Judged<'_>,
    values: &Presented,
) -> Result<bool, Error> {
    let Some(hmac) = payment.card_hmac else {
        return Ok(false);
    };
    let row = tx.first(
        "select 1 from authentications where cavv = $1 and eci = $2 and ds_trans_id = $3 and card_hmac = $4
             and category = '01' and amount >= $5 and message_version = $6 and status in ('Y', 'A')
             and (used_by is null or used_by = $7)",
        params![
            values.cavv.clone(),
            values.eci.clone(),
            values.ds_transaction_id.clone(),
            hmac,
            payment.amount,
            values.version.clone(),
            payment.reference,
        ],
    )?;
    Ok(row.is_some())
}

/// Whether this card was set up with an authenticated cardholder: by a payment, or by itself.
pub(crate) fn is_set_up(tx: &mut Tx<'_>, card_hmac: Option<&[u8; 32]>) -> Result<bool, Error> {
    let Some(hmac) = card_hmac else {
        return Ok(false);
    };
    let row = tx.first(
        "select 1 from authentications where card_hmac = $1 and status in ('Y', 'A')
             and (category = '02' or used_by is not null)",
        params![*hmac],
    )?;
    Ok(row.is_some())
}

/// An authentication as the admin listener shows it.
pub(crate) fn latest(tx: &mut Tx<'_>, most: i64) -> Result<Vec<serde_json::Value>, Error> {
    let sql = format!("select {COLUMNS} from authentications order by created_at desc limit $1");
    let rows = tx.all(&sql, params![most])?;
    rows.iter()
        .map(|row| {
            let a = Authentication::from_row(row)?;
            Ok(serde_json::json!({
                "acs_trans_id": a.acs_trans_id, "ds_trans_id": a.ds_trans_id, "server_trans_id": a.server_trans_id,
                "brand": a.brand, "last4": a.last4, "category": a.category, "amount": a.amount,
                "status": a.status, "reason": a.reason, "cancel": a.cancel, "challenged": a.challenged,
                "eci": a.eci, "acknowledged": a.acknowledged, "created": a.created_at,
            }))
        })
        .collect()
}
