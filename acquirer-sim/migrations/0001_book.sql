-- The bank's book. What it keeps of a card: brand, last four digits and a keyed hash to count by; no number, no CVV.
create table payments (
    id              TEXT primary key,
    -- The caller's reference: the same one again is the same payment, never a second charge.
    reference       TEXT not null unique,
    dialect         TEXT not null,
    merchant        TEXT not null,
    currency        TEXT not null check (length(currency) = 3),
    requested       INTEGER not null check (requested > 0),
    -- 0 when declined
    authorised      INTEGER not null check (authorised in (0, requested)),
    captured        INTEGER not null default 0,
    refunded        INTEGER not null default 0,
    voided_at       INTEGER,
    response_code   TEXT not null,
    auth_code       TEXT,
    network_transaction_id TEXT,
    cvc_result      TEXT not null,
    avs_result      TEXT not null,
    brand           TEXT not null,
    last4           TEXT not null check (length(last4) <= 4),
    card_hmac       BLOB,
    created_at      INTEGER not null,
    check (captured >= 0 and captured <= authorised),
    check (refunded >= 0 and refunded <= captured),
    check (voided_at is null or captured = 0)
) STRICT;
create index payments_card on payments (card_hmac);

-- Every message the bank answered, one row each, never changed.
create table entries (
    id            TEXT primary key,
    payment_id    TEXT not null references payments (id),
    kind          TEXT not null check (kind in ('sale', 'authorisation', 'capture', 'void', 'refund')),
    reference     TEXT not null,
    amount        INTEGER not null check (amount >= 0),
    status        TEXT not null check (status in ('captured', 'authorised', 'voided', 'refunded', 'declined')),
    response_code TEXT not null,
    -- milliseconds
    created_at    INTEGER not null,
    unique (payment_id, kind, reference)
) STRICT;
create index entries_reference on entries (reference);
create index entries_created on entries (created_at);
