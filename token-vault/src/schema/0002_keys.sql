-- Key management: which root wraps, secrets of the service's own, row MACs, and limits of API keys.

-- Which root keys have wrapped something here. What a root is (a file, a KMS key, an HSM's key) comes from the
-- operator's command line, never from a row: whoever writes to the database must not choose who sees a key.
create table roots (
    id         TEXT primary key,
    mode       TEXT not null check (mode in ('test', 'live')),
    provider   TEXT not null,
    algorithm  TEXT not null,
    state      TEXT not null check (state in ('active', 'decrypt_only', 'retired')),
    created_at INTEGER not null,
    retired_at INTEGER
) STRICT;
create unique index roots_active on roots (mode) where state = 'active';

-- Random secrets of the service, wrapped by the root: `service` (field sessions, request hashes, grants of stored
-- cards), `row_mac`, `fingerprint`. Every process unwraps the same ones at start.
create table service_secrets (
    mode       TEXT not null check (mode in ('test', 'live')),
    purpose    TEXT not null,
    generation INTEGER not null,
    root_id    TEXT not null,
    wrapped    BLOB not null,
    created_at INTEGER not null,
    primary key (mode, purpose, generation)
) STRICT;

-- Tenant keys that are gone: the row of a destroyed key is deleted, this is what is left of it.
create table destroyed_keys (
    id           TEXT primary key,
    merchant     TEXT not null,
    mode         TEXT not null,
    generation   INTEGER not null,
    created_at   INTEGER not null,
    destroyed_at INTEGER not null
) STRICT;

-- HMAC of the columns that decide what a row may do, under a key outside the database.
alter table tokens add column row_mac BLOB;
alter table grants add column row_mac BLOB;
alter table stored_cards add column row_mac BLOB;

-- A rotation walks the stored cards that a key still wraps.
create index stored_cards_key on stored_cards (key_id, id) where key_id is not null;

-- CIDR blocks, separated by spaces; empty means any address.
alter table api_keys add column allow_ip TEXT not null default '';
-- The key that this one replaces.
alter table api_keys add column rolled_from TEXT;
