//! Calls to the vault's private listener. Nothing here can name a card number.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use service::Client;
use service::client::Error as CallError;
use vault_api::Problem;
use vault_api::forward::{Close, Forward, Forwarded};
use vault_api::keys::{KeyInfo, Lookup};
use vault_api::tokens::{Exchange, Exchanged, TokenRef, TokenState};

/// How long look-ups, exchanges and closes may take; forwards have their acquirer's own time.
const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(10);

/// The vault, seen from payments.
pub struct Vault {
    base: String,
    /// `Bearer svc_..`
    authorization: header::HeaderValue,
    client: Client,
}

/// Why the vault did not do it.
#[derive(Debug)]
pub enum Failure {
    /// It refused, with its code.
    Refused(Problem),
    /// The connection was never made.
    NotSent(String),
    /// No answer, or none that says what happened.
    Unanswered(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(problem) => write!(
                f,
                "refused: {} (vault request {})",
                problem.code, problem.request_id
            ),
            Self::NotSent(why) => write!(f, "not reached: {why}"),
            Self::Unanswered(why) => write!(f, "no answer: {why}"),
        }
    }
}

impl Vault {
    /// The vault at `base`, called with the service key.
    pub fn new(base: &str, service_key: &str) -> anyhow::Result<Self> {
        let mut authorization = header::HeaderValue::from_str(&format!("Bearer {service_key}"))?;
        authorization.set_sensitive(true);
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self {
            base,
            authorization,
            client: Client::new(CONNECT, TOTAL),
        })
    }

    /// Whose key has this hash; None when nobody's.
    pub async fn lookup_key(&self, sha256: String) -> Result<Option<KeyInfo>, Failure> {
        match self
            .post(&self.client, "/v1/keys/lookup", &[], &Lookup { sha256 })
            .await
        {
            Ok(info) => Ok(Some(info)),
            // Only the look-up's own 404, not that of a proxy on the way.
            Err(Failure::Refused(problem)) if problem.code == "not_found" => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// A token's state, and what may be shown of its card; none of a security code alone.
    pub async fn lookup_token(
        &self,
        merchant: &str,
        token: &vault_api::TokenName,
    ) -> Result<TokenState, Failure> {
        let body = TokenRef {
            token: token.clone(),
        };
        let headers = [("cardseal-merchant", merchant)];
        self.post(&self.client, "/v1/tokens/lookup", &headers, &body)
            .await
    }

    /// Exchanges a token for a grant; the same key gives the same grant again.
    pub async fn exchange(
        &self,
        merchant: &str,
        key: &str,
        body: &Exchange,
    ) -> Result<Exchanged, Failure> {
        let headers = [("cardseal-merchant", merchant), ("idempotency-key", key)];
        self.post(&self.client, "/v1/exchange", &headers, body)
            .await
    }

    /// Asks the vault to send the card, over a client with the acquirer's time limits.
    pub async fn forward(
        &self,
        client: &Client,
        merchant: &str,
        body: &Forward,
    ) -> Result<Forwarded, Failure> {
        let headers = [
            ("cardseal-merchant", merchant),
            ("idempotency-key", &*body.attempt),
        ];
        self.post(client, "/v1/forward", &headers, body).await
    }

    /// What the vault has recorded of an attempt; one that never started can never start after this.
    pub async fn close(&self, merchant: &str, attempt: &str) -> Result<Forwarded, Failure> {
        let body = Close {
            attempt: attempt.to_owned(),
        };
        let headers = [
            ("cardseal-merchant", merchant),
            ("idempotency-key", attempt),
        ];
        self.post(&self.client, "/v1/attempts/close", &headers, &body)
            .await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        client: &Client,
        path: &str,
        headers: &[(&str, &str)],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let bytes =
            serde_json::to_vec(body).map_err(|_| Failure::NotSent("unserialisable".into()))?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, self.authorization.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Bytes::from(bytes))
            .map_err(|e| Failure::NotSent(e.to_string()))?;
        let response = client.send(request).await.map_err(|error| match error {
            CallError::NotSent(why) => Failure::NotSent(why),
            CallError::Unknown(why) => Failure::Unanswered(why),
        })?;
        let status = response.status();
        if status == StatusCode::OK || status == StatusCode::CREATED {
            // serde's message would quote the answer.
            return serde_json::from_slice(response.body())
                .map_err(|_| Failure::Unanswered("an answer of another shape".into()));
        }
        match serde_json::from_slice::<Problem>(response.body()) {
            Ok(problem) if status.is_client_error() => Err(Failure::Refused(problem)),
            _ => Err(Failure::Unanswered(format!("status {status}"))),
        }
    }
}
