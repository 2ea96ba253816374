-- How many digits of the number a publishable key's pages may see while it is typed: 6 or 8; none when null.
alter table api_keys add column bin_digits INTEGER;
