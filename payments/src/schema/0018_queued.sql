-- The confirmation that a worker has still to begin with: it holds the intent until its first attempt or authentication does.
alter table payment_intents add column queued TEXT check (queued is null or status = 'processing');
