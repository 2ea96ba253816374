-- Destinations registered by command, PSP secrets, and which processes live.

-- One registered destination with its operations, as JSON of the file's entry.
create table destinations (
    mode       TEXT not null check (mode in ('test', 'live')),
    name       TEXT not null,
    entry      TEXT not null,
    created_at INTEGER not null,
    primary key (mode, name)
) STRICT;

-- PSP secrets, sealed under a key derived from the root for this mode and name.
create table destination_secrets (
    mode       TEXT not null check (mode in ('test', 'live')),
    name       TEXT not null,
    sealed     BLOB not null,
    created_at INTEGER not null,
    primary key (mode, name)
) STRICT;

-- A vault process says every few seconds that it lives; one that stopped saying so left its attempts `unknown`.
create table processes (
    id         TEXT primary key,
    -- boot, process namespace and user: within one of these, `pid` and `pid_started` tell at once who is gone
    host       TEXT not null,
    pid        INTEGER not null,
    pid_started TEXT not null,
    -- the database's clock, so that no two machines' clocks are compared
    seen_at    INTEGER not null
) STRICT;
