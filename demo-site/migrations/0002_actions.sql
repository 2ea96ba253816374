-- What the buyer's browser needs to do what the bank asks (3-D Secure): it opens this one intent, and is erased with
-- the outcome.
alter table payment_attempts add column client_secret TEXT;
