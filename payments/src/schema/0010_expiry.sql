-- Until when an authorisation can be captured (Unix seconds), and when the acquirer is asked whether it has expired;
-- null for what is captured or released.
alter table charges add column capture_before INTEGER;
alter table charges add column expiry_check_at INTEGER;
create index charges_expiring on charges (expiry_check_at) where expiry_check_at is not null;
update charges set capture_before = created_ms / 1000 + 604800, expiry_check_at = created_ms / 1000 + 604800
    where status = 'succeeded' and captured = 0
      and intent in (select id from payment_intents where status in ('requires_capture', 'processing'));
