-- Webhooks: secrets sealed and rolled with an overlap, a policy of retries per endpoint, a record of each try.

-- The signing secret, AES-256-GCM under payments' own key, AAD = this row's id. The old column secret is empty then.
alter table webhook_endpoints add column sealed_secret BLOB;
-- the one before it, which signs too until previous_until (Unix seconds)
alter table webhook_endpoints add column sealed_previous BLOB;
alter table webhook_endpoints add column previous_until INTEGER;
-- 'standard' or 'short'; null: the mode's own
alter table webhook_endpoints add column retry_policy TEXT;

-- the outbox's piece of work that may still deliver; null: event:endpoint
alter table webhook_deliveries add column work TEXT;
-- Unix seconds of the next try
alter table webhook_deliveries add column next_at INTEGER;

create table webhook_tries (
    event    TEXT not null references events (id),
    endpoint TEXT not null,
    number   INTEGER not null,
    at_ms    INTEGER not null,
    took_ms  INTEGER not null,
    -- what the endpoint answered
    status   INTEGER,
    -- why it was no delivery
    reason   TEXT,
    primary key (event, endpoint, number)
) STRICT;
