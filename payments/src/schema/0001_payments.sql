-- Payments. Every money column is an integer in the smallest currency unit. State moves by conditional
-- single-statement updates; the CHECK constraints and partial unique indexes are the second wall.

create table payment_intents (
    id                  TEXT primary key,
    merchant            TEXT not null,
    livemode            INTEGER not null,
    created_ms          INTEGER not null,
    amount              INTEGER not null check (amount > 0),
    currency            TEXT not null,
    status              TEXT not null check (status in ('requires_payment_method', 'requires_confirmation',
                            'requires_action', 'processing', 'requires_capture', 'succeeded', 'canceled')),
    capture_method      TEXT not null check (capture_method in ('automatic', 'manual')),
    amount_capturable   INTEGER not null default 0 check (amount_capturable between 0 and amount),
    amount_received     INTEGER not null default 0 check (amount_received between 0 and amount),
    payment_method      TEXT,
    latest_charge       TEXT,
    -- Stripe's error object, JSON
    last_payment_error  TEXT,
    canceled_at         INTEGER,
    cancellation_reason TEXT,
    -- what is only kept and shown, JSON
    details             TEXT not null
) STRICT;
create index payment_intents_list on payment_intents (merchant, livemode, created_ms, id);

create table payment_methods (
    id           TEXT primary key,
    merchant     TEXT not null,
    livemode     INTEGER not null,
    created_ms   INTEGER not null,
    -- the vault's token, AES-256-GCM under payments' own key, AAD = this row's id; null once it is used up
    sealed_token BLOB,
    -- what may be shown of the card; null until the vault has told us
    brand        TEXT,
    last4        TEXT,
    exp_month    INTEGER,
    exp_year     INTEGER,
    metadata     TEXT not null
) STRICT;
create index payment_methods_list on payment_methods (merchant, livemode, created_ms, id);

-- One send of a card. The row is committed before the vault is asked to send.
create table attempts (
    id                  TEXT primary key,
    intent              TEXT not null references payment_intents (id),
    merchant            TEXT not null,
    livemode            INTEGER not null,
    -- the confirm call this belongs to, so that an interrupted one finds its own work again
    confirmation        TEXT not null,
    -- its place among the attempts of that call
    ordinal             INTEGER not null,
    payment_method      TEXT not null,
    acquirer            TEXT not null,
    -- what we are called at the acquirer
    reference           TEXT not null unique,
    amount              INTEGER not null check (amount > 0),
    currency            TEXT not null,
    capture             INTEGER not null,
    state               TEXT not null check (state in ('sending', 'unknown', 'authorized', 'captured', 'declined', 'failed')),
    created_ms          INTEGER not null,
    -- Unix seconds: when the resolver looks at it next (open states only)
    next_check_at       INTEGER not null,
    checks              INTEGER not null default 0,
    -- how often the acquirer said that it knows nothing of our reference
    negative_inquiries  INTEGER not null default 0,
    charge              TEXT,
    -- Stripe's error object of a decline or failure, JSON
    error               TEXT,
    request_id          TEXT,
    idempotency_key     TEXT
) STRICT;
create unique index attempts_confirmation on attempts (confirmation, ordinal);
create index attempts_open on attempts (next_check_at) where state in ('sending', 'unknown');
-- At most one open attempt per intent, whatever the code believes.
create unique index attempts_one_open on attempts (intent) where state in ('sending', 'unknown');

create table charges (
    id                     TEXT primary key,
    merchant               TEXT not null,
    livemode               INTEGER not null,
    created_ms             INTEGER not null,
    intent                 TEXT not null references payment_intents (id),
    attempt                TEXT not null unique references attempts (id),
    payment_method         TEXT not null,
    amount                 INTEGER not null check (amount > 0),
    currency               TEXT not null,
    status                 TEXT not null check (status in ('succeeded', 'failed')),
    captured               INTEGER not null,
    amount_captured        INTEGER not null default 0 check (amount_captured between 0 and amount),
    amount_refunded        INTEGER not null default 0 check (amount_refunded >= 0),
    -- on its way back, not yet acknowledged by the acquirer
    refund_reserved        INTEGER not null default 0 check (refund_reserved >= 0),
    acquirer               TEXT not null,
    -- the acquirer's own id of the payment
    acquirer_payment       TEXT,
    response_code          TEXT,
    authorization_code     TEXT,
    network_transaction_id TEXT,
    cvc_result             TEXT,
    avs_result             TEXT,
    -- Stripe's code, decline code and sentence of a failure
    failure_code           TEXT,
    decline_code           TEXT,
    failure_message        TEXT,
    check (amount_refunded + refund_reserved <= amount_captured)
) STRICT;
create index charges_list on charges (merchant, livemode, created_ms, id);
create index charges_intent on charges (intent);
create unique index charges_acquirer_payment on charges (acquirer, acquirer_payment);

create table refunds (
    id             TEXT primary key,
    merchant       TEXT not null,
    livemode       INTEGER not null,
    created_ms     INTEGER not null,
    charge         TEXT not null references charges (id),
    intent         TEXT not null,
    amount         INTEGER not null check (amount > 0),
    currency       TEXT not null,
    status         TEXT not null check (status in ('pending', 'succeeded', 'failed', 'canceled')),
    reason         TEXT,
    failure_reason TEXT,
    metadata       TEXT not null
) STRICT;
create index refunds_list on refunds (merchant, livemode, created_ms, id);
create index refunds_charge on refunds (charge);

-- Capture, void or refund at the charge's own acquirer; its id is our reference there. It is repeated under that
-- reference until the acquirer gives a definite answer.
create table operations (
    id              TEXT primary key,
    kind            TEXT not null check (kind in ('capture', 'void', 'refund')),
    merchant        TEXT not null,
    livemode        INTEGER not null,
    intent          TEXT not null,
    charge          TEXT not null references charges (id),
    refund          TEXT unique references refunds (id),
    amount          INTEGER not null check (amount > 0),
    currency        TEXT not null,
    state           TEXT not null check (state in ('pending', 'succeeded', 'failed')),
    -- for a void: what the merchant said
    reason          TEXT,
    created_ms      INTEGER not null,
    next_try_at     INTEGER not null,
    tries           INTEGER not null default 0,
    request_id      TEXT,
    idempotency_key TEXT
) STRICT;
create index operations_open on operations (next_try_at) where state = 'pending';
create unique index operations_one_open on operations (charge) where state = 'pending' and kind <> 'refund';

-- Append only, double entry: the entries of a transfer sum to zero.
create table ledger_entries (
    transfer   TEXT not null,
    account    TEXT not null,
    merchant   TEXT not null,
    livemode   INTEGER not null,
    currency   TEXT not null,
    -- debit positive, credit negative
    amount     INTEGER not null,
    intent     TEXT not null,
    created_ms INTEGER not null,
    primary key (transfer, account)
) STRICT;
create index ledger_entries_account on ledger_entries (merchant, livemode, currency, account);

-- Beside store's idempotency rows: which object a claim makes, and who works on it until when (milliseconds of the
-- system's clock, which no test clock moves).
create table claims (
    scope           TEXT not null,
    key             TEXT not null,
    subject         TEXT not null,
    leased_until_ms INTEGER not null,
    expires_at      INTEGER not null,
    primary key (scope, key)
) STRICT;
create index claims_expiry on claims (expires_at);

create table webhook_endpoints (
    id             TEXT primary key,
    merchant       TEXT not null,
    livemode       INTEGER not null,
    created_ms     INTEGER not null,
    url            TEXT not null,
    -- JSON array of event types, or ["*"]
    enabled_events TEXT not null,
    status         TEXT not null check (status in ('enabled', 'disabled')),
    secret         TEXT not null,
    description    TEXT,
    metadata       TEXT not null
) STRICT;
create index webhook_endpoints_list on webhook_endpoints (merchant, livemode, created_ms, id);

create table events (
    id         TEXT primary key,
    merchant   TEXT not null,
    livemode   INTEGER not null,
    created_ms INTEGER not null,
    type       TEXT not null,
    -- the whole event as it is delivered, JSON
    body       TEXT not null
) STRICT;
create index events_list on events (merchant, livemode, created_ms, id);

create table webhook_deliveries (
    event       TEXT not null references events (id),
    endpoint    TEXT not null,
    state       TEXT not null check (state in ('pending', 'delivered', 'failed')),
    tries       INTEGER not null default 0,
    last_status INTEGER,
    last_error  TEXT,
    updated_ms  INTEGER not null,
    primary key (event, endpoint)
) STRICT;

-- Cancellations that needed no acquirer, by the call that made them, so that an interrupted call finds its own.
create table cancellations (
    id     TEXT primary key,
    intent TEXT not null references payment_intents (id)
) STRICT;
