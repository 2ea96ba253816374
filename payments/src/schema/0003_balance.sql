-- What moved the merchant's balance: one row per movement of the ledger's account merchant_balance, with its fee.
create table balance_transactions (
    id           TEXT primary key,
    merchant     TEXT not null,
    livemode     INTEGER not null,
    created_ms   INTEGER not null,
    type         TEXT not null check (type in ('charge', 'refund', 'refund_failure')),
    -- the charge or the refund
    source       TEXT not null,
    currency     TEXT not null,
    -- gross = fee + net; what leaves the balance is negative
    amount       INTEGER not null,
    fee          INTEGER not null check (fee >= 0),
    net          INTEGER not null,
    -- Unix seconds
    available_on INTEGER not null,
    description  TEXT,
    check (amount = fee + net)
) STRICT;
create unique index balance_transactions_source on balance_transactions (source, type);
create index balance_transactions_list on balance_transactions (merchant, livemode, created_ms, id);
