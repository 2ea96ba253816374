-- Audit chains.

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
