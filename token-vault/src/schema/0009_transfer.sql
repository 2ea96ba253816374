-- Export and import of stored cards. Every row carries a MAC: an approval that was written by SQL is none.

-- People who may approve an export. Only a hash of what they know is kept.
create table operators (
    id          TEXT primary key,
    merchant    TEXT not null check (merchant = ''),
    mode        TEXT not null check (mode in ('test', 'live')),
    name        TEXT not null,
    secret_hash BLOB not null unique,
    created_at  INTEGER not null,
    ended_at    INTEGER,
    row_mac     BLOB not null,
    unique (mode, name)
) STRICT;

-- An export: asked for by one operator, approved by another, run once.
create table exports (
    id           TEXT primary key,
    merchant     TEXT not null,
    mode         TEXT not null check (mode in ('test', 'live')),
    state        TEXT not null check (state in ('requested', 'approved', 'running', 'done')),
    receiver     BLOB not null,
    cards        INTEGER not null,
    requested_by TEXT not null,
    requested_at INTEGER not null,
    expires_at   INTEGER not null,
    approved_by  TEXT,
    approved_at  INTEGER,
    run_by       TEXT,
    finished_at  INTEGER,
    exported     INTEGER,
    sha256       TEXT,
    row_mac      BLOB not null,
    check (approved_by <> requested_by),
    check (state not in ('approved', 'running', 'done') or approved_by is not null)
) STRICT;

-- Keys that other vaults seal exports to; the private half is sealed under a key of the root's.
create table import_keys (
    id         TEXT primary key,
    merchant   TEXT not null check (merchant = ''),
    mode       TEXT not null check (mode in ('test', 'live')),
    public_key BLOB not null,
    sealed     BLOB,
    created_at INTEGER not null,
    row_mac    BLOB not null
) STRICT;

-- Which card of another vault became which card here: a rerun makes none twice.
create table imported_cards (
    id         TEXT not null,
    merchant   TEXT not null,
    mode       TEXT not null,
    card       TEXT not null,
    export     TEXT not null,
    created_at INTEGER not null,
    row_mac    BLOB not null,
    primary key (merchant, mode, id)
) STRICT;
