-- What the issuers know of 3-D Secure authentications, and what payments said of themselves beyond the money.
create table authentications (
    acs_trans_id     TEXT primary key,
    ds_trans_id      TEXT not null unique,
    -- the 3DS Server's own id: one AReq each
    server_trans_id  TEXT not null unique,
    card_hmac        BLOB not null,
    brand            TEXT not null,
    last4            TEXT not null,
    message_version  TEXT not null,
    -- EMV: 01 payment, 02 non-payment
    category         TEXT not null check (category in ('01', '02')),
    merchant_name    TEXT not null,
    -- in the smallest unit; 0 for a non-payment authentication
    amount           INTEGER not null,
    -- ISO 4217 numeric, and its decimals
    currency         TEXT not null,
    exponent         INTEGER not null,
    results_url      TEXT not null,
    notification_url TEXT not null,
    -- EMV transStatus: C while the cardholder is asked
    status           TEXT not null check (status in ('Y', 'A', 'N', 'R', 'U', 'C')),
    reason           TEXT,
    -- EMV challengeCancel
    cancel           TEXT,
    challenged       INTEGER not null,
    -- seconds after which the access control server gives up, when this card's does
    gives_up_after   INTEGER,
    session_data     TEXT,
    eci              TEXT,
    cavv             TEXT unique,
    -- the 3DS Server has acknowledged the result
    acknowledged     INTEGER not null default 0,
    -- the reference of the payment that was approved with it
    used_by          TEXT,
    created_at       INTEGER not null
) STRICT;
create index authentications_card on authentications (card_hmac);

alter table payments add column eci TEXT;
alter table payments add column ds_trans_id TEXT;
-- who initiated it: customer or merchant
alter table payments add column initiator TEXT;
-- how the card's details came: first (to be kept), stored, or null
alter table payments add column credential TEXT;
alter table payments add column previous_network_transaction_id TEXT;
