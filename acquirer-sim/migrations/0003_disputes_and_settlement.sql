-- A reversal under a reference. It is remembered whether or not there was something to reverse: a payment that comes
-- later under the same reference is declined, so that an acknowledged reversal is final.
create table reversals (
    acquirer   TEXT not null,
    reference  TEXT not null,
    payment_id TEXT,
    -- what was taken and went back
    amount     INTEGER not null,
    created_at INTEGER not null,
    primary key (acquirer, reference)
) STRICT;

create table disputes (
    id           TEXT primary key,
    acquirer     TEXT not null,
    payment_id   TEXT not null unique references payments (id),
    amount       INTEGER not null check (amount > 0),
    currency     TEXT not null,
    -- the scheme's reason code
    reason       TEXT not null,
    -- inquiry: a question, no money moves; chargeback: the money is gone until it is won
    stage        TEXT not null check (stage in ('inquiry', 'chargeback')),
    status       TEXT not null check (status in ('needs_response', 'under_review', 'won', 'lost')),
    -- milliseconds: evidence is taken until then
    due_at       INTEGER not null,
    evidence     TEXT,
    created_at   INTEGER not null,
    changed_at   INTEGER not null,
    -- when money left and came back
    withdrawn_at  INTEGER,
    reinstated_at INTEGER
) STRICT;
create index disputes_open on disputes (due_at) where status in ('needs_response', 'under_review');

-- What the acquirers have to tell, until it was told.
create table notifications (
    id         TEXT primary key,
    acquirer   TEXT not null,
    body       TEXT not null,
    tries      INTEGER not null default 0,
    next_at    INTEGER not null,
    done_at    INTEGER,
    created_at INTEGER not null
) STRICT;
create index notifications_open on notifications (next_at) where done_at is null;
