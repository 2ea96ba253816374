-- Where cards may be sent is the operator's to say: a row that the command line did not write is none.
alter table destinations add column row_mac BLOB;
