//! What several routes take, in the words of [`super::takes`].

/// What every object's route takes.
pub const EXPAND: &str = "expand[]:200";
/// Paging.
pub const PAGE: &str = "limit:1..100 starting_after ending_before";
/// A list of objects, by when they were made.
pub const LIST: &str = "created:time limit:1..100 starting_after ending_before expand[]:200";
/// A card of the vault, as a payment method is made of it.
pub const CARD: &str = "type:card! card{token:200!}! billing_details{name:200? email:200? phone:200? address{line1:200? \
    line2:200? city:200? state:200? postal_code:200? country:200?}}";
/// Who pays, and where they live.
pub const BILLING: &str = "billing_details{name:200? email:200? phone:200? address{line1:200? line2:200? city:200? \
    state:200? postal_code:200? country:200?}}";
/// What is paid with: a payment method, or what one is made of.
pub const METHOD: &str = "payment_method payment_method_data{type:card! card{token:200!}! billing_details{name:200? \
    email:200? phone:200? address{line1:200? line2:200? city:200? state:200? postal_code:200? country:200?}}}";
/// What is only kept and shown of a PaymentIntent.
pub const WORDS_OF_INTENT: &str = "description:1000? metadata:metadata receipt_email:500? statement_descriptor:22? \
    statement_descriptor_suffix:22? payment_method_types[]:50";
/// What a confirmation of a PaymentIntent may say besides the card.
pub const CONFIRMATION: &str = "off_session:bool return_url:2048 setup_future_usage:off_session|on_session \
    error_on_requires_action:bool use_stripe_sdk:bool radar_options{session:255} \
    payment_method_options{card{request_three_d_secure:automatic|any|challenge cvc_token:200}} \
    mandate_data{customer_acceptance{type:online|offline accepted_at:int \
    online{user_agent:2048 ip_address:45} offline{}}!}";
/// What a confirmation of a SetupIntent may say.
pub const SETUP: &str = "return_url:2048 use_stripe_sdk:bool \
    payment_method_options{card{request_three_d_secure:automatic|any|challenge}}";
/// What is said in a dispute.
pub const EVIDENCE: &str = "evidence{access_activity_log:20000 billing_address:20000 cancellation_policy_disclosure:20000 \
    cancellation_rebuttal:20000 customer_email_address:20000 customer_name:20000 customer_purchase_ip:20000 \
    duplicate_charge_explanation:20000 duplicate_charge_id:20000 product_description:20000 \
    refund_policy_disclosure:20000 refund_refusal_explanation:20000 service_date:20000 shipping_address:20000 \
    shipping_carrier:20000 shipping_date:20000 shipping_tracking_number:20000 uncategorized_text:20000}";
