-- Conversion: the balance of a merchant may be kept in another currency than the buyer paid in.

-- The rate (decimal text, settlement units for one unit of what was paid) and whose it is; null where nothing was converted.
alter table balance_transactions add column exchange_rate TEXT;
alter table balance_transactions add column rate_source TEXT;
-- What was paid, before it was converted: what the acquirer's settlement file says too.
alter table balance_transactions add column presented_amount INTEGER;
alter table balance_transactions add column presented_currency TEXT;
-- For a capture: the rate that it is settled at, JSON.
alter table operations add column conversion TEXT;
