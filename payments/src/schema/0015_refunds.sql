-- How many tries of an operation may have reached the acquirer: 0 where each is known not to have been sent. The first
-- is under way when the row is written.
alter table operations add column sends INTEGER not null default 1;
