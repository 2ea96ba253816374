-- Row MACs of attempts (what was sent where, and how it ended), of API keys (what a key may do) and of the merchants that a
-- service key acts for.
alter table attempts add column row_mac BLOB;
alter table api_keys add column row_mac BLOB;
alter table service_merchants add column row_mac BLOB;
