-- 3-D Secure authentications of the buyer, by their page's id (random, unguessable, of no use once it is over).
create table authentications (
    id              TEXT primary key,
    -- EMV's threeDSServerTransID, a UUID
    transaction_id  TEXT not null unique,
    merchant        TEXT not null,
    livemode        INTEGER not null,
    created_ms      INTEGER not null,
    -- a payment intent, or a setup intent
    intent          TEXT not null,
    -- the confirm call this belongs to
    confirmation    TEXT not null,
    payment_method  TEXT not null,
    acquirer        TEXT not null,
    amount          INTEGER not null,
    currency        TEXT not null,
    -- what the merchant asks of the issuer: no_preference or mandated
    challenge       TEXT not null check (challenge in ('no_preference', 'mandated')),
    -- an issuer has declined the payment for want of it
    required        INTEGER not null,
    return_url      TEXT,
    state           TEXT not null check (state in ('enrolling', 'ready', 'authenticating', 'challenge',
                        'authenticated', 'done', 'failed', 'abandoned')),
    -- Unix seconds: when the resolver looks at it (open states only), and when its time is over
    next_check_at   INTEGER not null,
    expires_at      INTEGER not null,
    checks          INTEGER not null default 0,
    -- where its page may be framed, once it was
    origin          TEXT,
    version         TEXT,
    method_url      TEXT,
    -- what the buyer's browser said of itself, JSON
    browser         TEXT,
    acs_url         TEXT,
    acs_trans_id    TEXT,
    ds_trans_id     TEXT,
    -- EMV's transStatus, its reason and challengeCancel
    trans_status    TEXT,
    reason          TEXT,
    cancel          TEXT,
    -- frictionless or challenge
    flow            TEXT,
    eci             TEXT,
    cavv            TEXT,
    request_id      TEXT,
    idempotency_key TEXT
) STRICT;
create index authentications_open on authentications (next_check_at)
    where state in ('enrolling', 'ready', 'authenticating', 'challenge', 'authenticated');
-- At most one under way per intent, whatever the code believes.
create unique index authentications_one_open on authentications (intent)
    where state in ('enrolling', 'ready', 'authenticating', 'challenge', 'authenticated');
create index authentications_confirmation on authentications (confirmation);

-- Stripe's object, while the buyer has something to do.
alter table payment_intents add column next_action TEXT;
alter table setup_intents add column next_action TEXT;
-- What an attempt carries besides the card, JSON.
alter table attempts add column carried TEXT;
-- Stripe's object, JSON.
alter table charges add column three_d_secure TEXT;
-- The scheme's id of the payment that set the card up, which later ones of the merchant's refer to.
alter table payment_methods add column network_transaction_id TEXT;

-- Publishable keys that have been seen, by their hash: whose pages may frame an authentication is asked of the vault.
create table browser_keys (
    sha256   TEXT primary key,
    merchant TEXT not null,
    livemode INTEGER not null
) STRICT;
create index browser_keys_merchant on browser_keys (merchant, livemode);
