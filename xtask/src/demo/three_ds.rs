//! The demo's 3-D Secure: the directory server as a destination of the vault, and payments' set-up as a 3DS Server.

use super::ports::{self, Ports};

/// The destination, to stand among the vault's others.
pub fn destination(ports: Ports) -> String {
    format!(
        r#"
[[destination]]
name = "directory"
base_url = "{acquirer}"
local = true
merchants = ["*"]
connect_ms = 2000
total_ms = 10000
headers = {{ authorization = {{ file = "secrets/acquirer_key", prefix = "Bearer " }} }}

[[destination.operation]]
name = "versioning"
kind = "authenticate"
method = "POST"
path = "/3ds/v1/versioning"
placeholders = {{ "card.number" = "/acctNumber" }}
response = ["/enrolled", "/acsStartProtocolVersion", "/acsEndProtocolVersion", "/threeDSMethodURL"]

[[destination.operation]]
name = "authenticate"
kind = "authenticate"
method = "POST"
path = "/3ds/v1/authenticate"
placeholders = {{ "card.number" = "/acctNumber", "card.expiry.YYMM" = "/cardExpiryDate" }}
response = ["/messageType", "/messageVersion", "/threeDSServerTransID", "/acsTransID", "/dsTransID", "/transStatus", "/transStatusReason", "/eci", "/authenticationValue", "/acsURL", "/acsChallengeMandated", "/authenticationType", "/errorCode", "/errorDetail"]
"#,
        acquirer = ports.url(ports::ACQUIRER)
    )
}

/// `three_d_secure.toml`.
pub fn set_up(ports: Ports) -> String {
    format!(
        r#"# Payments as a 3DS Server: `payments serve --three-d-secure`.
destination = "directory"
public_url = "{payments}"
results_key_file = "secrets/results_key"
requestor_id = "cardseal-demo"
requestor_name = "Cardseal demo shop"
requestor_url = "{shop}"
acquirer_bin = "400000"
acquirer_merchant_id = "cardseal-demo"
mcc = "5942"
merchant_country = "276"
"#,
        payments = ports.url(ports::PAYMENTS),
        shop = ports.shop(),
    )
}
