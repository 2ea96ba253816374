-- Audit chains, and the keys that replicas hand each other.

-- Each event is a link of its chain: the MAC covers the event and the MAC before it. A chain belongs to one writer
-- connection of one process, so chains never wait for each other. Null: written by a binary that knew no chains.
alter table audit_events add column chain TEXT;
alter table audit_events add column seq INTEGER;
alter table audit_events add column mac BLOB;
-- How often it happened: refusals are counted per minute and caller.
alter table audit_events add column times INTEGER not null default 1;
create unique index audit_events_chain on audit_events (chain, seq);
create index audit_events_merchant on audit_events (merchant, at);

create table audit_chains (
    chain     TEXT primary key,
    process   TEXT not null,
    opened_at INTEGER not null
) STRICT;

-- Which heads the opening event of which chain names: a head that is named need not be named again. The events say
-- the same under their MAC; this table only spares reading them.
create table audit_named (
    by_chain TEXT not null,
    chain    TEXT not null,
    seq      INTEGER not null,
    primary key (by_chain, chain)
) STRICT;
create index audit_named_chain on audit_named (chain, seq);

-- The processes that serve this database. The key is replaced every minute, its private half never leaves memory; the
-- MAC (under a key from the root) keeps whoever only has the database from registering one of his own.
create table processes (
    id         TEXT primary key,
    public_key BLOB not null,
    mac        BLOB not null,
    started_at INTEGER not null,
    -- the system's time, not the test clock's
    seen_at    INTEGER not null
) STRICT;

-- CVV epoch keys and browser sealing keys on their way from process to process, sealed to `for_process`'s key.
create table shared_keys (
    kind         TEXT not null check (kind in ('epoch', 'sealing')),
    id           TEXT not null,
    for_process  TEXT not null,
    from_process TEXT not null,
    -- the epoch, or when the sealing key was made
    starts       INTEGER not null,
    expires_at   INTEGER not null,
    enc          BLOB not null,
    sealed       BLOB not null,
    primary key (kind, id, for_process)
) STRICT;
create index shared_keys_inbox on shared_keys (for_process, expires_at);

-- Each process has epoch keys of its own: which one sealed the CVV.
alter table cvvs add column key_id TEXT not null default '';
