-- A published test card of which the money is available at once; the vault tells with the exchange.
alter table payment_methods add column available_at_once INTEGER not null default 0 check (available_at_once in (0, 1));
