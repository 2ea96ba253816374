-- Indexes that no query needs, or only for the few rows that have something in the column.
drop index attempts_confirmation_state;
drop index payment_methods_customer;
create index payment_methods_customer on payment_methods (customer) where customer is not null;
drop index payment_intents_customer;
create index payment_intents_customer on payment_intents (customer) where customer is not null;
