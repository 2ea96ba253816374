//! Every route of the API: what is not in this table is not served.

use super::routes::Route;
use super::words::{
    BILLING, CARD, CONFIRMATION, EVIDENCE, EXPAND, LIST, METHOD, PAGE, SETUP, WORDS_OF_INTENT,
};
use crate::checkout::{self, page as hosted};
use crate::disputes;
use crate::intents::{cancel, capture, confirm, create, retrieve, search, update};
use crate::notifications;
use crate::risk::reviews;
use crate::routing::explain;
use crate::setup_intents::{confirm as setup_confirm, create as setup_create};
use crate::three_ds::{page, results};
use crate::webhooks::{records, routes as endpoints};
use crate::{
    balance, charges, customers, events, payment_methods, refunds, saved_cards, setup_intents,
};

/// The table.
pub fn table() -> Vec<Route> {
    [
        payment_intents(),
        setups(),
        methods(),
        customer_routes(),
        money(),
        webhooks(),
        sessions(),
        three_ds(),
        bank_side(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn payment_intents() -> Vec<Route> {
    vec![
        Route::post("/v1/payment_intents", create::create)
            .queued()
            .does("Creates a PaymentIntent; with confirm, pays.")
            .takes(
                "amount:amount! currency:currency! capture_method:automatic|automatic_async|manual confirm:bool \
                 confirmation_method:automatic customer automatic_payment_methods{enabled:bool! \
                 allow_redirects:always|never}",
            )
            .takes(METHOD)
            .takes(WORDS_OF_INTENT)
            .takes(CONFIRMATION)
            .takes(EXPAND)
            .answers("payment_intent"),
        Route::get("/v1/payment_intents", retrieve::list)
            .does("Lists PaymentIntents, newest first.")
            .takes("customer").takes(LIST)
            .answers("list"),
        Route::get("/v1/payment_intents/search", search::intents)
            .does("Finds PaymentIntents by amount, created, currency, customer, metadata and status.")
            .takes("query:2000! limit:1..100 page").takes(EXPAND)
            .answers("search_result"),
        Route::get("/v1/payment_intents/{id}", retrieve::one)
            .browser()
            .does("Retrieves a PaymentIntent.")
            .takes("client_secret:200").takes(EXPAND)
            .answers("payment_intent"),
        Route::preflight("/v1/payment_intents/{id}"),
        Route::post("/v1/payment_intents/{id}", update::update)
            .does("Changes a PaymentIntent that is not on its way.")
            .takes("amount:amount currency:currency customer setup_future_usage:off_session|on_session")
            .takes(METHOD)
            .takes(WORDS_OF_INTENT)
            .takes(EXPAND)
            .answers("payment_intent"),
        Route::post("/v1/payment_intents/{id}/confirm", confirm::route)
            .browser()
            .queued()
            .does("Pays.")
            .takes("client_secret:200")
            .takes(METHOD)
            .takes(CONFIRMATION)
            .takes(EXPAND)
            .answers("payment_intent"),
        Route::preflight("/v1/payment_intents/{id}/confirm"),
        Route::post("/v1/payment_intents/{id}/capture", capture::route)
            .does("Captures an authorised PaymentIntent, all of it or less.")
            .takes("amount_to_capture:amount final_capture:true").takes(EXPAND)
            .answers("payment_intent"),
        Route::post("/v1/payment_intents/{id}/cancel", cancel::route)
            .does("Cancels a PaymentIntent; what is authorised is released.")
            .takes("cancellation_reason:abandoned|duplicate|fraudulent|requested_by_customer").takes(EXPAND)
            .answers("payment_intent"),
    ]
}

fn setups() -> Vec<Route> {
    vec![
        Route::post("/v1/setup_intents", setup_create::create)
            .does("Creates a SetupIntent; with confirm, keeps the card.")
            .takes(
                "confirm:bool customer description:1000 metadata:metadata usage:off_session|on_session \
                 payment_method_types[]:50 automatic_payment_methods{enabled:bool! allow_redirects:always|never}",
            )
            .takes(METHOD)
            .takes(SETUP)
            .takes(EXPAND)
            .answers("setup_intent"),
        Route::get("/v1/setup_intents", setup_intents::list)
            .does("Lists SetupIntents, newest first.")
            .takes("customer payment_method").takes(LIST)
            .answers("list"),
        Route::get("/v1/setup_intents/{id}", setup_intents::retrieve)
            .browser()
            .does("Retrieves a SetupIntent.")
            .takes("client_secret:200").takes(EXPAND)
            .answers("setup_intent"),
        Route::preflight("/v1/setup_intents/{id}"),
        Route::post("/v1/setup_intents/{id}/confirm", setup_confirm::route)
            .browser()
            .does("Keeps the card.")
            .takes("client_secret:200")
            .takes(METHOD)
            .takes(SETUP)
            .takes(EXPAND)
            .answers("setup_intent"),
        Route::preflight("/v1/setup_intents/{id}/confirm"),
        Route::post("/v1/setup_intents/{id}/cancel", setup_intents::cancel)
            .does("Cancels a SetupIntent.")
            .takes("cancellation_reason:abandoned|duplicate|requested_by_customer").takes(EXPAND)
            .answers("setup_intent"),
    ]
}

fn methods() -> Vec<Route> {
    vec![
        Route::post("/v1/payment_methods", payment_methods::create)
            .does("Makes a PaymentMethod of a token.")
            .takes("metadata:metadata")
            .takes(CARD)
            .takes(EXPAND)
            .answers("payment_method"),
        Route::get("/v1/payment_methods", saved_cards::list)
            .does("Lists a customer's cards.")
            .takes("customer! type:card")
            .takes(PAGE)
            .takes(EXPAND)
            .answers("list"),
        Route::get("/v1/payment_methods/{id}", payment_methods::retrieve)
            .does("Retrieves a PaymentMethod.")
            .takes(EXPAND)
            .answers("payment_method"),
        Route::post("/v1/payment_methods/{id}", saved_cards::update)
            .does("Changes the metadata and the billing details of a customer's card.")
            .takes(BILLING)
            .takes("metadata:metadata")
            .takes(EXPAND)
            .answers("payment_method"),
        Route::post("/v1/payment_methods/{id}/attach", saved_cards::attach)
            .does("Keeps a card for a customer.")
            .takes("customer!")
            .takes(EXPAND)
            .answers("payment_method"),
        Route::post("/v1/payment_methods/{id}/detach", saved_cards::detach)
            .does("Takes a card from its customer for good.")
            .takes(EXPAND)
            .answers("payment_method"),
    ]
}

fn customer_routes() -> Vec<Route> {
    const WORDS: &str = "email:512? name:256? phone:20? description:1000? metadata:metadata address{city:200? country:200? line1:200? \
         line2:200? postal_code:200? state:200?}? invoice_settings{default_payment_method?} expand[]:200";
    vec![
        Route::post("/v1/customers", customers::create)
            .does("Creates a Customer.")
            .takes(WORDS)
            .answers("customer"),
        Route::get("/v1/customers", customers::list)
            .does("Lists Customers, newest first.")
            .takes("email:512")
            .takes(LIST)
            .answers("list"),
        Route::get("/v1/customers/{id}", customers::retrieve)
            .does("Retrieves a Customer.")
            .takes(EXPAND)
            .answers("customer"),
        Route::post("/v1/customers/{id}", customers::update)
            .does("Changes a Customer.")
            .takes(WORDS)
            .answers("customer"),
        Route::delete("/v1/customers/{id}", customers::delete)
            .does("Deletes a Customer; their cards go with them.")
            .answers("customer"),
        Route::get(
            "/v1/customers/{id}/payment_methods",
            saved_cards::list_of_customer,
        )
        .does("Lists a customer's cards.")
        .takes("type:card")
        .takes(PAGE)
        .takes(EXPAND)
        .answers("list"),
        Route::get(
            "/v1/customers/{id}/payment_methods/{method}",
            saved_cards::retrieve_of_customer,
        )
        .does("Retrieves a customer's card.")
        .takes(EXPAND)
        .answers("payment_method"),
    ]
}

fn money() -> Vec<Route> {
    vec![
        Route::get("/v1/balance", balance::balance)
            .does("What is available and what is pending, by currency.")
            .answers("balance"),
        Route::get("/v1/balance_transactions", balance::list)
            .does("Lists what moved the balance, newest first.")
            .takes("type:charge|refund|refund_failure|adjustment source currency:10").takes(LIST)
            .answers("list"),
        Route::get("/v1/balance_transactions/{id}", balance::retrieve)
            .does("Retrieves a BalanceTransaction.")
            .takes(EXPAND)
            .answers("balance_transaction"),
        Route::get("/v1/charges", charges::list)
            .does("Lists Charges, newest first.")
            .takes("payment_intent customer").takes(LIST)
            .answers("list"),
        Route::get("/v1/charges/{id}", charges::retrieve)
            .does("Retrieves a Charge.")
            .takes(EXPAND)
            .answers("charge"),
        Route::post("/v1/refunds", refunds::create)
            .does("Gives money back, all of it or a part.")
            .takes("payment_intent charge amount:amount reason:duplicate|fraudulent|requested_by_customer metadata:metadata").takes(EXPAND)
            .answers("refund"),
        Route::get("/v1/refunds", refunds::list)
            .does("Lists Refunds, newest first.")
            .takes("payment_intent charge").takes(LIST)
            .answers("list"),
        Route::post("/v1/refunds/{id}", refunds::update)
            .does("Changes a Refund's metadata.")
            .takes("metadata:metadata").takes(EXPAND)
            .answers("refund"),
        Route::post("/v1/refunds/{id}/cancel", refunds::cancel)
            .does("Cancels a pending Refund that the acquirer has certainly not been sent.")
            .takes(EXPAND)
            .answers("refund"),
        Route::get("/v1/refunds/{id}", refunds::retrieve)
            .does("Retrieves a Refund.")
            .takes(EXPAND)
            .answers("refund"),
    ]
}

fn webhooks() -> Vec<Route> {
    vec![
        Route::get("/v1/events", events::list)
            .does("Lists Events, newest first.")
            .takes("type types[] delivery_success:bool created:time").takes(PAGE)
            .answers("list"),
        Route::get("/v1/events/{id}", events::retrieve)
            .does("Retrieves an Event.")
            .answers("event"),
        Route::get("/v1/events/{id}/deliveries", records::list)
            .does("How an event's deliveries stand: state, every try, status and reason.")
            .answers("list"),
        Route::post("/v1/events/{id}/retry", records::retry)
            .does("Delivers an event once more.")
            .takes("webhook_endpoint")
            .answers("event"),
        Route::post("/v1/webhook_endpoints", endpoints::create)
            .does("Creates a WebhookEndpoint; its secret is told here only.")
            .takes("url:2048! enabled_events[]! description:1000? metadata:metadata retry_policy:standard|short api_version:50")
            .answers("webhook_endpoint"),
        Route::get("/v1/webhook_endpoints", endpoints::list)
            .does("Lists WebhookEndpoints, newest first.")
            .takes(PAGE)
            .answers("list"),
        Route::get("/v1/webhook_endpoints/{id}", endpoints::retrieve)
            .does("Retrieves a WebhookEndpoint.")
            .answers("webhook_endpoint"),
        Route::post("/v1/webhook_endpoints/{id}", endpoints::update)
            .does("Changes a WebhookEndpoint.")
            .takes("url:2048 enabled_events[] disabled:bool description:1000? metadata:metadata retry_policy:standard|short")
            .answers("webhook_endpoint"),
        Route::delete("/v1/webhook_endpoints/{id}", endpoints::delete)
            .does("Deletes a WebhookEndpoint.")
            .answers("webhook_endpoint"),
        Route::post("/v1/webhook_endpoints/{id}/roll_secret", endpoints::roll_secret)
            .does("Replaces the secret; for a while both sign.")
            .takes("previous_expires_in:0..604800")
            .answers("webhook_endpoint"),
    ]
}

fn sessions() -> Vec<Route> {
    vec![
        Route::post("/v1/checkout/sessions", checkout::create::route)
            .does("Creates a Checkout Session: a hosted page that pays one PaymentIntent, or keeps one card.")
            .takes(
                "mode:payment|setup! success_url:2048! cancel_url:2048 client_reference_id:200 customer \
                 customer_email:500 customer_creation:if_required billing_address_collection:auto currency:currency \
                 expires_at:int locale:20 metadata:metadata payment_method_types[]:50 \
                 submit_type:auto|book|donate|pay ui_mode:hosted \
                 line_items[]{price quantity:1..999999 price_data{currency:currency! unit_amount:amount! \
                 product_data{name:250! description:1000 metadata:metadata}!}} \
                 setup_intent_data{description:1000 metadata:metadata} \
                 payment_intent_data{capture_method:automatic|automatic_async|manual \
                 setup_future_usage:off_session|on_session description:1000? statement_descriptor:22? \
                 statement_descriptor_suffix:22? receipt_email:500? metadata:metadata payment_method_types[]:50}",
            )
            .takes(EXPAND)
            .answers("checkout.session"),
        Route::get("/v1/checkout/sessions", checkout::routes::list)
            .does("Lists Checkout Sessions, newest first.")
            .takes("payment_intent customer status").takes(LIST)
            .answers("list"),
        Route::get("/v1/checkout/sessions/{id}", checkout::routes::retrieve)
            .does("Retrieves a Checkout Session.")
            .takes(EXPAND)
            .answers("checkout.session"),
        Route::post("/v1/checkout/sessions/{id}", checkout::routes::update)
            .does("Changes a Checkout Session's metadata.")
            .takes("metadata:metadata").takes(EXPAND)
            .answers("checkout.session"),
        Route::post("/v1/checkout/sessions/{id}/expire", checkout::routes::expire)
            .does("Ends an open Checkout Session; nothing can be paid with it any more.")
            .takes(EXPAND)
            .answers("checkout.session"),
        Route::get("/v1/checkout/sessions/{id}/line_items", checkout::routes::line_items)
            .does("Lists what a Checkout Session is about.")
            .takes("limit:1..100 starting_after")
            .answers("list"),
        Route::get("/c/pay/{id}", hosted::page)
            .open()
            .does("The hosted page of a Checkout Session.")
            .answers("text/html"),
        Route::get("/c/pay/{id}/status", hosted::status)
            .open()
            .does("What the hosted page asks while it waits.")
            .answers("application/json"),
        Route::get("/c/checkout.css", hosted::css)
            .open()
            .does("The hosted page's style.")
            .answers("text/css"),
        Route::get("/c/checkout.js", hosted::script)
            .open()
            .does("The hosted page's script.")
            .answers("text/javascript"),
    ]
}

fn three_ds() -> Vec<Route> {
    vec![
        Route::post("/3ds/results", results::results)
            .open()
            .does("Results of an authentication (RReq); from the directory server alone.")
            .answers("application/json"),
        Route::get("/3ds/page.css", page::css)
            .open()
            .does("The authentication page's style.")
            .answers("text/css"),
        Route::get("/3ds/page.js", page::script)
            .open()
            .does("The authentication page's script.")
            .answers("text/javascript"),
        Route::get("/3ds/notified.js", page::notified_script)
            .open()
            .does("The script of what the issuer's frame comes back to.")
            .answers("text/javascript"),
        Route::get("/3ds/{id}", page::page)
            .open()
            .does("The page that the loader frames for an authentication.")
            .answers("text/html"),
        Route::get("/3ds/{id}/status", page::status)
            .open()
            .does("How an authentication stands.")
            .answers("application/json"),
        Route::post("/3ds/{id}/browser", page::browser)
            .open()
            .does("What the page learnt of the browser.")
            .answers("application/json"),
        Route::post("/3ds/{id}/{part}", page::notified)
            .open()
            .does("The issuer's pages hand the frame back.")
            .answers("text/html"),
    ]
}

fn bank_side() -> Vec<Route> {
    vec![
        Route::get("/v1/disputes", disputes::list)
            .does("Lists Disputes, newest first.")
            .takes("charge payment_intent").takes(LIST)
            .answers("list"),
        Route::get("/v1/disputes/{id}", disputes::retrieve)
            .does("Retrieves a Dispute.")
            .takes(EXPAND)
            .answers("dispute"),
        Route::post("/v1/disputes/{id}", disputes::update)
            .does("Answers a Dispute with evidence.")
            .takes("metadata:metadata submit:bool")
            .takes(EVIDENCE)
            .takes(EXPAND)
            .answers("dispute"),
        Route::post("/v1/disputes/{id}/close", disputes::close)
            .does("Accepts a Dispute as lost.")
            .takes(EXPAND)
            .answers("dispute"),
        Route::get("/v1/reviews", reviews::list)
            .does("Lists Reviews, newest first: payments that a fraud rule wants a person to look at.")
            .takes(LIST)
            .answers("list"),
        Route::get("/v1/reviews/{id}", reviews::retrieve)
            .does("Retrieves a Review.")
            .takes(EXPAND)
            .answers("review"),
        Route::post("/v1/reviews/{id}/approve", reviews::approve)
            .does("Closes a Review: the payment is good.")
            .takes(EXPAND)
            .answers("review"),
        Route::post("/v1/routing/explain", explain::route)
            .does("Which acquirer a payment would go to, and why; nothing is sent.")
            .takes(
                "amount:amount! currency:currency! payment_method_type:card brand:20 region:2 \
                 risk:normal|elevated|highest seed",
            )
            .answers("application/json"),
        Route::post("/acquirers/{name}/notifications", notifications::receive)
            .open()
            .does("Notifications of an acquirer, signed by it.")
            .answers("text/plain"),
    ]
}
