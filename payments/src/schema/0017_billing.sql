-- Who pays and where they live, as Stripe names it, JSON.
alter table payment_methods add column billing_details TEXT;
