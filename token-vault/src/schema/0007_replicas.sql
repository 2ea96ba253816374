-- What processes on one database hand each other: keys that live in memory only.

-- What others seal to this process (X25519). It is replaced every minute, its private half never leaves memory. The MAC,
-- under a key that the root guards, keeps whoever only has the database from registering a key of his own.
alter table processes add column public_key BLOB;
alter table processes add column mac BLOB;

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

-- The sweep looks for cards that wait for the approval of a grant which is over.
create index grants_pending_card on grants (pending_card) where pending_card is not null;
create index stored_cards_pending on stored_cards (id) where state = 'pending' and sealed_number is not null;
