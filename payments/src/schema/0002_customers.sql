-- Customers, their saved cards, and setup intents. A saved card is a stored card of the vault, named by its id, which
-- holds no secret.

create table customers (
    id         TEXT primary key,
    merchant   TEXT not null,
    livemode   INTEGER not null,
    created_ms INTEGER not null,
    state      TEXT not null check (state in ('active', 'deleted')),
    -- a column of its own: lists filter by it
    email      TEXT,
    -- what is only kept and shown, JSON
    details    TEXT not null
) STRICT;
create index customers_list on customers (merchant, livemode, created_ms, id);

alter table payment_methods add column customer TEXT;
-- the vault's stored card; while a payment that asked for it is under way, one that becomes active with its approval
alter table payment_methods add column stored_card TEXT;
-- 1: it was attached once and may not be used again
alter table payment_methods add column detached INTEGER not null default 0;
create index payment_methods_customer on payment_methods (customer);

alter table payment_intents add column customer TEXT;
create index payment_intents_customer on payment_intents (customer);

create table setup_intents (
    id                  TEXT primary key,
    merchant            TEXT not null,
    livemode            INTEGER not null,
    created_ms          INTEGER not null,
    status              TEXT not null check (status in ('requires_payment_method', 'requires_confirmation',
                            'requires_action', 'processing', 'succeeded', 'canceled')),
    customer            TEXT,
    payment_method      TEXT,
    -- Stripe's error object, JSON
    last_setup_error    TEXT,
    cancellation_reason TEXT,
    -- the call that moved it last, so that an interrupted one finds its own work
    moved_by            TEXT,
    -- what is only kept and shown, JSON
    details             TEXT not null
) STRICT;
create index setup_intents_list on setup_intents (merchant, livemode, created_ms, id);
