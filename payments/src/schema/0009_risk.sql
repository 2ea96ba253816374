-- Fraud rules. What counts towards velocity: one row for each payment that was let through and each thing that it is
-- counted by. `subject` is the vault's fingerprint of the card or its stored card, an address, a session; no card data.
create table velocity (
    merchant     TEXT not null,
    livemode     INTEGER not null,
    -- card, address, session; browser: calls from a browser, by address
    kind         TEXT not null,
    subject      TEXT not null,
    confirmation TEXT not null,
    created_ms   INTEGER not null,
    -- the card, so that cards of one address or session can be counted
    card         TEXT,
    -- no rule looks back so far any more
    expires_ms   INTEGER not null,
    primary key (merchant, livemode, kind, subject, confirmation)
) STRICT;
create index velocity_window on velocity (merchant, livemode, kind, subject, created_ms);
create index velocity_expiry on velocity (expires_ms);

-- What the rules said of an attempt, JSON; an authentication carries it to the attempt that it leads to.
alter table charges add column risk TEXT;
alter table authentications add column risk TEXT;

-- Payments that a rule wants a person to look at.
create table reviews (
    id            TEXT primary key,
    merchant      TEXT not null,
    livemode      INTEGER not null,
    created_ms    INTEGER not null,
    charge        TEXT not null unique references charges (id),
    intent        TEXT not null,
    -- null while it is open
    closed_reason TEXT check (closed_reason in ('approved', 'refunded', 'canceled', 'disputed'))
) STRICT;
create index reviews_list on reviews (merchant, livemode, created_ms, id);
