//! A root key in AWS KMS: it never leaves AWS's HSMs, and every use of it is in CloudTrail.
//!
//! The encryption context (KMS's AAD) binds what is wrapped, its id, generation, merchant and mode. The key itself
//! carries a tag `cardseal-mode`, `test` or `live`: a vault refuses a key without it or with the other one.
//! Credentials come from where AWS's own tools take them: environment, profile, web identity, container, instance.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::error::DisplayErrorContext;
use aws_sdk_kms::primitives::Blob;
use aws_smithy_http_client::tls::{Provider as Tls, rustls_provider::CryptoMode};
use vault_api::keys::Mode;
use zeroize::Zeroizing;

use super::{Answer, Provider, RootError, Wrapped};
use crate::crypto::{CannotOpen, Key};

/// The tag of a KMS key that says which mode it is for.
pub const MODE_TAG: &str = "cardseal-mode";

/// A call, its repetitions included, may take this long: requests of a merchant whose key is not here yet wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A KMS key.
pub struct KmsKey {
    arn: String,
    client: Client,
}

impl KmsKey {
    /// Opens the key with this ARN and checks its tag, its state and its use.
    ///
    /// # Errors
    /// When AWS refuses, or the key is not fit to be this mode's root.
    pub async fn open(arn: &str, endpoint: Option<&str>, mode: Mode) -> anyhow::Result<Self> {
        let region = region(arn).context(
            "name the key by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID (an alias may be pointed elsewhere)",
        )?;
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Tls::Rustls(CryptoMode::AwsLc))
            .build_https();
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .http_client(http)
            .load()
            .await;
        let timeouts = TimeoutConfig::builder().operation_timeout(PATIENCE).build();
        let mut config = aws_sdk_kms::config::Builder::from(&config).timeout_config(timeouts);
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        let key = Self {
            arn: arn.to_owned(),
            client: Client::from_conf(config.build()),
        };
        key.check(mode).await?;
        Ok(key)
    }

    async fn check(&self, mode: Mode) -> anyhow::Result<()> {
        let described = self.client.describe_key().key_id(&self.arn).send().await;
        let described = described.map_err(|e| refused("kms:DescribeKey", &e))?;
        let key = described.key_metadata.context("KMS described no key")?;
        if !key.enabled {
            bail!("the KMS key is disabled");
        }
        if key.arn.as_deref().is_some_and(|arn| arn != self.arn) {
            bail!("KMS answered for another key");
        }
        let tags = self.client.list_resource_tags().key_id(&self.arn).send();
        let tags = tags
            .await
            .map_err(|e| refused("kms:ListResourceTags", &e))?;
        let tagged = tags.tags().iter().find(|tag| tag.tag_key() == MODE_TAG);
        match tagged.map(|tag| tag.tag_value()) {
            Some(value) if value == mode.as_str() => Ok(()),
            Some(value) => {
                bail!("the KMS key is tagged for {value} mode, this vault runs in {mode} mode")
            }
            None => bail!("tag the KMS key {MODE_TAG}={mode}: test and live never share a root"),
        }
    }

    async fn encrypt(&self, key: &Key, place: Wrapped<'_>) -> Result<Vec<u8>, RootError> {
        let answer = self
            .client
            .encrypt()
            .key_id(&self.arn)
            .plaintext(Blob::new(key.to_vec()))
            .set_encryption_context(Some(context(place)))
            .send()
            .await
            .map_err(|e| RootError::Unavailable(refused("kms:Encrypt", &e).to_string()))?;
        let blob = answer.ciphertext_blob.map(Blob::into_inner);
        blob.ok_or_else(|| RootError::Unavailable("KMS answered no ciphertext".to_owned()))
    }

    async fn decrypt(&self, wrapped: &[u8], place: Wrapped<'_>) -> Result<Key, RootError> {
        let answer = self
            .client
            .decrypt()
            .key_id(&self.arn)
            .ciphertext_blob(Blob::new(wrapped))
            .set_encryption_context(Some(context(place)))
            .send()
            .await
            .map_err(|error| {
                let service = error.as_service_error();
                let forged = service.is_some_and(|e| {
                    e.is_invalid_ciphertext_exception() || e.is_incorrect_key_exception()
                });
                if forged {
                    RootError::CannotOpen(CannotOpen)
                } else {
                    RootError::Unavailable(refused("kms:Decrypt", &error).to_string())
                }
            })?;
        let plain = answer.plaintext.map(Blob::into_inner).map(Zeroizing::new);
        let key = plain.and_then(|plain| plain.as_slice().try_into().ok());
        Ok(Zeroizing::new(key.ok_or(CannotOpen)?))
    }
}

impl Provider for KmsKey {
    fn id(&self) -> &str {
        &self.arn
    }

    fn provider(&self) -> &'static str {
        "aws-kms"
    }

    fn algorithm(&self) -> &'static str {
        "AES-256-GCM in AWS KMS (SYMMETRIC_DEFAULT)"
    }

    fn wrap<'a>(&'a self, key: &'a Key, place: Wrapped<'a>) -> Answer<'a, Vec<u8>> {
        Box::pin(self.encrypt(key, place))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], place: Wrapped<'a>) -> Answer<'a, Key> {
        Box::pin(self.decrypt(wrapped, place))
    }
}

// KMS logs the context in the clear: ids and no secret.
fn context(place: Wrapped<'_>) -> HashMap<String, String> {
    let mut context = HashMap::from([
        ("cardseal:kind".to_owned(), place.kind.to_owned()),
        ("cardseal:id".to_owned(), place.id.to_owned()),
        (
            "cardseal:generation".to_owned(),
            place.generation.to_string(),
        ),
        ("cardseal:mode".to_owned(), place.mode.as_str().to_owned()),
    ]);
    // KMS takes no empty value.
    if !place.tenant.is_empty() {
        context.insert("cardseal:tenant".to_owned(), place.tenant.to_owned());
    }
    context
}

fn region(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "kms", region, _, key] if key.starts_with("key/") => Some(region),
        _ => None,
    }
}

fn refused(what: &str, error: &(impl std::error::Error + 'static)) -> anyhow::Error {
    anyhow::anyhow!("{what} failed: {}", DisplayErrorContext(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_by_arn() {
        assert_eq!(
            region("arn:aws:kms:eu-west-1:123:key/abc"),
            Some("eu-west-1")
        );
        for alias in ["arn:aws:kms:eu-west-1:123:alias/abc", "alias/abc", "abc"] {
            assert_eq!(region(alias), None);
        }
    }
}
