-- The merchant's database. A card number has no place in it; what stands for a card is a single-use token, and that
-- only until its payment has an outcome.
create table goods (
    id       TEXT primary key,
    name     TEXT not null,
    blurb    TEXT not null,
    -- smallest currency unit
    price    INTEGER not null check (price > 0),
    currency TEXT not null check (length(currency) = 3),
    position INTEGER not null unique
) STRICT;

insert into goods (id, name, blurb, price, currency, position) values
    ('notebook', 'Field notebook', 'Stitched, dotted, 160 pages that lie flat.', 1800, 'usd', 1),
    ('pen', 'Brass ballpoint', 'Turned from one bar. It will outlive its refills.', 4200, 'usd', 2),
    ('mug', 'Enamel mug', 'Steel under glass, for desks and campfires alike.', 2400, 'usd', 3),
    ('lamp', 'Desk lamp', 'Warm light, a heavy foot, one good hinge.', 12900, 'usd', 4),
    ('tote', 'Linen tote', 'Wide enough for a week of reading.', 3200, 'usd', 5),
    ('plant', 'Pot with a fern', 'Shade, water on Fridays, no conversation needed.', 2750, 'usd', 6);

create table orders (
    id                TEXT primary key,
    -- the buyer: a hash of the session cookie
    user_id           TEXT not null,
    -- what was bought: goods.id
    plan_id           TEXT not null references goods (id),
    amount            INTEGER not null check (amount > 0),
    currency          TEXT not null check (length(currency) = 3),
    status            TEXT not null default 'pending'
                      check (status in ('pending', 'paid', 'failed', 'refunded', 'cancelled', 'disputed')),
    -- a hosted checkout session, where one is used
    session_id        TEXT unique,
    payment_intent_id TEXT unique,
    refund_id         TEXT,
    failure_reason    TEXT,
    -- milliseconds, both
    paid_at           INTEGER,
    created_at        INTEGER not null
) STRICT;
create index orders_user on orders (user_id);
create index orders_status_created on orders (status, created_at);
create index orders_plan on orders (plan_id);
create index orders_paid on orders (paid_at);

-- One row per click on Pay that was taken up. The row is there before the gateway is called, so that a crash leaves
-- behind what is needed to ask again: the same key with the same body.
create table payment_attempts (
    order_id          TEXT not null references orders (id),
    number            INTEGER not null,
    idempotency_key   TEXT not null unique,
    -- erased with the outcome
    token             TEXT,
    -- open: sent or about to be, no outcome known
    state             TEXT not null check (state in ('open', 'processing', 'succeeded', 'declined')),
    payment_intent_id TEXT,
    failure_reason    TEXT,
    -- what the buyer is told about a decline
    message           TEXT,
    sends             INTEGER not null,
    -- milliseconds: not to be sent again before
    send_after        INTEGER not null,
    created_at        INTEGER not null,
    primary key (order_id, number)
) STRICT;
-- A second attempt is possible only after a definite decline of the first.
create unique index payment_attempts_one_at_a_time on payment_attempts (order_id) where state <> 'declined';
create index payment_attempts_due on payment_attempts (send_after) where state = 'open';
create index payment_attempts_intent on payment_attempts (payment_intent_id);

-- Each event once: inserted first, in the transaction of its effect.
create table webhook_events (
    event_id     TEXT not null unique,
    event_type   TEXT not null,
    payload      TEXT not null,
    processed    INTEGER not null default 0,
    processed_at INTEGER
) STRICT;

-- What the buyer got, once per order.
create table fulfilments (
    order_id   TEXT primary key references orders (id),
    created_at INTEGER not null,
    revoked_at INTEGER
) STRICT;
