-- What a key may ask for: a publishable key that takes only sessions bound to a payment, and a service key that works
-- only with one client certificate (SHA-256 of it, lower-case hex).
alter table api_keys add column bound_sessions INTEGER not null default 0;
alter table api_keys add column certificate_sha256 TEXT;
