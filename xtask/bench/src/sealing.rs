//! Seals a card as the frame does, ahead of the timed part.

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, OpModeS, Serializable as _};
use serde_json::{Value, json};
use vault_api::tokens::{SEALING_INFO, sealing_aad};

/// The body of `POST /v1/tokens` for a field session.
///
/// # Errors
/// When the session's keys are malformed.
pub fn seal(session: &Value, publishable: &str, card: &Value) -> anyhow::Result<Value> {
    let key = &session["sealing"][0];
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a string");
    let kid = text(&key["kid"])?;
    let aad = sealing_aad(
        &kid,
        &text(&session["mode"])?,
        publishable,
        &text(&session["jti"])?,
    );
    let public = URL_SAFE_NO_PAD.decode(text(&key["public_key"])?)?;
    let failed = |error: hpke::HpkeError| anyhow!("sealing: {error}");
    let public = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&public).map_err(failed)?;
    let (enc, mut context) = hpke::setup_sender::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        SEALING_INFO.as_bytes(),
    )
    .map_err(failed)?;
    let ct = context
        .seal(card.to_string().as_bytes(), aad.as_bytes())
        .map_err(failed)?;
    let (enc, ct) = (
        URL_SAFE_NO_PAD.encode(enc.to_bytes()),
        URL_SAFE_NO_PAD.encode(ct),
    );
    Ok(json!({"sealed": {"kid": kid, "enc": enc, "ct": ct}}))
}
