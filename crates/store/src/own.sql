-- Idempotency claims: one row per (scope, key), inserted before the work.
create table idempotency (
    scope        TEXT not null,
    key          TEXT not null,
    request_hash BLOB not null,
    -- null while the work runs
    status       INTEGER,
    body         BLOB,
    created_at   INTEGER not null,
    expires_at   INTEGER not null,
    primary key (scope, key)
) STRICT;
create index idempotency_expiry on idempotency (expires_at);

-- Outbox: work that must happen after a commit, leased by one worker at a time.
create table outbox (
    id           TEXT primary key,
    topic        TEXT not null,
    payload      TEXT not null,
    due_at       INTEGER not null,
    attempts     INTEGER not null default 0,
    leased_until INTEGER not null default 0,
    -- null while there is something left to do
    done_at      INTEGER
) STRICT;
create index outbox_due on outbox (topic, due_at) where done_at is null;
