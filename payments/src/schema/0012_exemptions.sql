-- Payments of low value that an authentication was not asked for, per card since its holder was last authenticated. No
-- card data.
create table low_value_payments (
    confirmation TEXT primary key,
    merchant     TEXT not null,
    livemode     INTEGER not null,
    card         TEXT not null,
    amount       INTEGER not null
) STRICT;
create index low_value_payments_card on low_value_payments (merchant, livemode, card);
