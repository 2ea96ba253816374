-- What a card brings beside number and name: the holder's postal code and country (sealed), the networks it may be paid
-- through when they are several (wire names, separated by spaces), and the one that the buyer chose.
alter table tokens add column sealed_address BLOB;
alter table tokens add column networks TEXT;
alter table tokens add column network TEXT;
alter table grants add column sealed_address BLOB;
alter table grants add column networks TEXT;
alter table grants add column network TEXT;
alter table stored_cards add column sealed_address BLOB;
alter table stored_cards add column networks TEXT;
alter table stored_cards add column network TEXT;
