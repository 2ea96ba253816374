-- Why the acquirer asked the issuer to do without an authentication.
alter table payments add column sca_exemption TEXT;
