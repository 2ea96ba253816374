-- Checkout Sessions: a hosted page that pays one payment intent, or saves one card.

create table checkout_sessions (
    id           TEXT primary key,
    merchant     TEXT not null,
    livemode     INTEGER not null,
    created_ms   INTEGER not null,
    mode         TEXT not null check (mode in ('payment', 'setup')),
    status       TEXT not null check (status in ('open', 'complete', 'expired')),
    -- Unix seconds: from then on nothing can be paid
    expires_at   INTEGER not null,
    -- the payment intent or the setup intent
    intent       TEXT not null unique,
    customer     TEXT,
    -- null in setup mode
    amount       INTEGER check (amount > 0),
    currency     TEXT,
    -- what is only kept and shown, JSON
    details      TEXT not null
) STRICT;
create index checkout_sessions_list on checkout_sessions (merchant, livemode, created_ms, id);
create index checkout_sessions_due on checkout_sessions (expires_at) where status = 'open';
