-- Disputes, as the acquirer reports them, and what acquirers paid out.
create table disputes (
    id                  TEXT primary key,
    merchant            TEXT not null,
    livemode            INTEGER not null,
    created_ms          INTEGER not null,
    charge              TEXT not null references charges (id),
    intent              TEXT not null,
    acquirer            TEXT not null,
    -- the acquirer's own id
    acquirer_dispute    TEXT not null,
    amount              INTEGER not null check (amount > 0),
    currency            TEXT not null,
    reason              TEXT not null,
    network_reason_code TEXT not null,
    status              TEXT not null check (status in ('warning_needs_response', 'warning_under_review',
                            'warning_closed', 'needs_response', 'under_review', 'won', 'lost')),
    -- Unix seconds
    due_by              INTEGER not null,
    has_evidence        INTEGER not null,
    submissions         INTEGER not null default 0,
    -- JSON
    evidence            TEXT not null,
    metadata            TEXT not null
) STRICT;
create unique index disputes_acquirer on disputes (acquirer, acquirer_dispute);
create index disputes_list on disputes (merchant, livemode, created_ms, id);
create index disputes_charge on disputes (charge);

-- The same table with the types of a dispute, a step where a source moves the balance twice in one way, and the file
-- that confirmed it.
create table balance_transactions_2 (
    id           TEXT primary key,
    merchant     TEXT not null,
    livemode     INTEGER not null,
    created_ms   INTEGER not null,
    type         TEXT not null check (type in ('charge', 'refund', 'refund_failure', 'adjustment')),
    source       TEXT not null,
    currency     TEXT not null,
    amount       INTEGER not null,
    fee          INTEGER not null check (fee >= 0),
    net          INTEGER not null,
    available_on INTEGER not null,
    description  TEXT,
    step         TEXT not null default '',
    -- acquirer and day of the settlement file
    settlement   TEXT,
    check (amount = fee + net)
) STRICT;
insert into balance_transactions_2 (id, merchant, livemode, created_ms, type, source, currency, amount, fee, net,
    available_on, description)
select id, merchant, livemode, created_ms, type, source, currency, amount, fee, net, available_on, description
from balance_transactions;
drop table balance_transactions;
alter table balance_transactions_2 rename to balance_transactions;
create unique index balance_transactions_source on balance_transactions (source, type, step);
create index balance_transactions_list on balance_transactions (merchant, livemode, created_ms, id);

-- A settlement file that was read: each day of each acquirer once.
create table settlement_batches (
    acquirer   TEXT not null,
    -- days since 1970-01-01
    day        INTEGER not null,
    lines      INTEGER not null,
    mismatches INTEGER not null,
    created_ms INTEGER not null,
    primary key (acquirer, day)
) STRICT;

create table settlement_lines (
    acquirer            TEXT not null,
    day                 INTEGER not null,
    line                INTEGER not null,
    kind                TEXT not null,
    payment             TEXT not null,
    payment_reference   TEXT not null,
    reference           TEXT not null,
    currency            TEXT not null,
    gross               INTEGER not null,
    fee                 INTEGER not null,
    value_date          TEXT not null,
    balance_transaction TEXT,
    -- null: it matches. Else what does not
    finding             TEXT,
    primary key (acquirer, day, line)
) STRICT;
