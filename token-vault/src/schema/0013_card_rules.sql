-- What the operator rules for the cards of a publishable key, as JSON: brands of the merchant's own, and funding.
alter table api_keys add column card_rules TEXT;
