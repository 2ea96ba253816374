-- The processes that serve one PostgreSQL, each with its last sign of life by the server's own clock. An attempt that is
-- `sending` is nobody's once its process is gone from here or silent.
create table processes (
    id      TEXT primary key,
    seen_at INTEGER not null
) STRICT;
