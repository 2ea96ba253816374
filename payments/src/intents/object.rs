//! The PaymentIntent object, with Stripe's field names.

use serde_json::{Value, json};
use vault_api::ids::base62_of_32;

use super::Intent;
use crate::seal::Seal;

impl Intent {
    /// What the API answers and events carry.
    pub fn object(&self, seal: &Seal) -> Value {
        let details = &self.details;
        json!({
            "id": self.id,
            "object": "payment_intent",
            "allowed_payment_method_types": null,
            "amount": self.amount,
            "amount_capturable": self.amount_capturable,
            "amount_details": { "tip": {} },
            "amount_received": self.amount_received,
            "application": null,
            "application_fee_amount": null,
            "automatic_payment_methods": details.automatic_payment_methods,
            "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method,
            "client_secret": client_secret(seal, &self.id),
            "confirmation_method": "automatic",
            "created": self.created_ms.div_euclid(1000),
            "currency": self.currency,
            "customer": self.customer,
            "customer_account": null,
            "description": details.description,
            "excluded_payment_method_types": null,
            "last_payment_error": self.last_payment_error,
            "latest_charge": self.latest_charge,
            "livemode": self.owner.livemode,
            "managed_payments": null,
            "metadata": details.metadata,
            "next_action": self.next_action,
            "on_behalf_of": null,
            "payment_method": self.payment_method,
            "payment_method_configuration_details": null,
            "payment_method_options": { "card": {
                "installments": null, "mandate_options": null, "network": null,
                "request_three_d_secure": details.request_three_d_secure.as_deref().unwrap_or("automatic"),
            } },
            "payment_method_types": details.payment_method_types,
            "payment_record": null,
            "processing": null,
            "receipt_email": details.receipt_email,
            "review": null,
            "setup_future_usage": details.setup_future_usage,
            "shipping": null,
            "source": null,
            "statement_descriptor": details.statement_descriptor,
            "statement_descriptor_suffix": details.statement_descriptor_suffix,
            "status": self.status,
            "transfer_data": null,
            "transfer_group": null,
        })
    }
}

/// The secret that lets a browser see and confirm this one intent. It is derived, so no table holds it.
pub fn client_secret(seal: &Seal, intent: &str) -> String {
    format!(
        "{intent}_secret_{}",
        base62_of_32(&seal.mac("client-secret", &[intent.as_bytes()]))
    )
}
