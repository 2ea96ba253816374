-- The vault's tables. Card numbers stand only in sealed columns; CVVs have a table of their own.

create table merchants (
    id         TEXT primary key,
    name       TEXT not null,
    created_at INTEGER not null
) STRICT;

-- Only a hash of a key is kept. A service key has no merchant of its own; `merchants` names whom it may act for.
create table api_keys (
    id         TEXT primary key,
    merchant   TEXT references merchants (id),
    mode       TEXT not null check (mode in ('test', 'live')),
    kind       TEXT not null check (kind in ('publishable', 'secret', 'restricted', 'service')),
    sha256     TEXT not null unique,
    scopes     TEXT not null,
    origins    TEXT not null,
    created_at INTEGER not null,
    expires_at INTEGER,
    check ((kind = 'service') = (merchant is null))
) STRICT;

create table service_merchants (
    key_id   TEXT not null references api_keys (id),
    merchant TEXT not null references merchants (id),
    primary key (key_id, merchant)
) STRICT;

create table tenant_keys (
    id         TEXT primary key,
    merchant   TEXT not null,
    mode       TEXT not null,
    generation INTEGER not null,
    root_id    TEXT not null,
    wrapped    BLOB not null,
    state      TEXT not null check (state in ('active', 'decrypt_only')),
    created_at INTEGER not null,
    unique (merchant, mode, generation)
) STRICT;

create table tokens (
    id            TEXT primary key,
    merchant      TEXT not null,
    mode          TEXT not null,
    secret_hash   BLOB not null,
    state         TEXT not null check (state in ('active', 'exchanged', 'revoked')),
    created_at    INTEGER not null,
    expires_at    INTEGER not null,
    brand         TEXT not null,
    last4         TEXT not null,
    exp_month     INTEGER not null,
    exp_year      INTEGER not null,
    -- emptied when the token is exchanged, revoked or swept
    key_id        TEXT,
    wrapped_key   BLOB,
    sealed_number BLOB,
    sealed_name   BLOB,
    -- what the field session bound it to
    bound_intent   TEXT,
    bound_amount   INTEGER,
    bound_currency TEXT,
    -- the one use
    used_at       INTEGER,
    used_request  TEXT,
    used_key      TEXT,
    used_hash     BLOB,
    -- the answer without its secret
    answer        TEXT,
    check (state <> 'exchanged' or used_key is not null),
    check (state = 'active' or sealed_number is null)
) STRICT;
create index tokens_expiry on tokens (expires_at) where sealed_number is not null;

-- No CVV stands beside its card: this table is keyed by the token's or grant's public id.
create table cvvs (
    record     TEXT primary key,
    epoch      INTEGER not null,
    sealed     BLOB not null,
    expires_at INTEGER not null
) STRICT;
create index cvvs_expiry on cvvs (expires_at);

create table grants (
    id             TEXT primary key,
    merchant       TEXT not null,
    mode           TEXT not null,
    secret_hash    BLOB not null,
    intent         TEXT,
    amount         INTEGER not null check (amount > 0),
    currency       TEXT not null,
    created_at     INTEGER not null,
    expires_at     INTEGER not null,
    authorisations_left  INTEGER not null check (authorisations_left >= 0),
    authentications_left INTEGER not null check (authentications_left >= 0),
    -- the one attempt under way
    open_attempt   TEXT,
    brand          TEXT not null,
    last4          TEXT not null,
    exp_month      INTEGER not null,
    exp_year       INTEGER not null,
    key_id         TEXT,
    wrapped_key    BLOB,
    sealed_number  BLOB,
    sealed_name    BLOB,
    -- becomes active with the first approved authorisation
    pending_card   TEXT
) STRICT;
create index grants_expiry on grants (expires_at) where sealed_number is not null;

create table stored_cards (
    id            TEXT primary key,
    merchant      TEXT not null,
    mode          TEXT not null,
    state         TEXT not null check (state in ('pending', 'active', 'deleted')),
    created_at    INTEGER not null,
    brand         TEXT not null,
    last4         TEXT not null,
    exp_month     INTEGER not null,
    exp_year      INTEGER not null,
    key_id        TEXT,
    wrapped_key   BLOB,
    sealed_number BLOB,
    sealed_name   BLOB,
    check (state <> 'deleted' or sealed_number is null)
) STRICT;
create index stored_cards_merchant on stored_cards (merchant, mode, created_at, id);

create table attempts (
    merchant    TEXT not null,
    id          TEXT not null,
    mode        TEXT not null,
    -- null for an attempt that was closed before it started
    grant_id    TEXT,
    state       TEXT not null check (state in ('sending', 'done', 'closed')),
    destination TEXT,
    operation   TEXT,
    amount      INTEGER,
    currency    TEXT,
    reference   TEXT,
    request_hash BLOB,
    -- the process that is sending
    process     TEXT,
    created_at  INTEGER not null,
    finished_at INTEGER,
    -- the answer, by the operation's allow-list
    outcome     TEXT,
    primary key (merchant, id)
) STRICT;
create index attempts_open on attempts (process) where state = 'sending';

-- Sealed cards that were opened: (session, encapsulated key) is unique while the session lives.
create table sealed_seen (
    hash       BLOB primary key,
    expires_at INTEGER not null
) STRICT;
create index sealed_seen_expiry on sealed_seen (expires_at);

create table audit_events (
    id         TEXT primary key,
    at         INTEGER not null,
    kind       TEXT not null,
    merchant   TEXT not null,
    actor      TEXT not null,
    object     TEXT not null,
    outcome    TEXT not null,
    request_id TEXT not null
) STRICT;
create index audit_events_time on audit_events (at, id);
