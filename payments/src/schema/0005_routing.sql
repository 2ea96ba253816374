-- Which card a confirmation sent, so that reattempts are counted per card: the vault's fingerprint of it, or its
-- stored card. No card data.
create table confirmation_cards (
    confirmation TEXT primary key,
    merchant     TEXT not null,
    livemode     INTEGER not null,
    card         TEXT not null,
    -- the card's scheme, as the vault names brands
    scheme       TEXT not null
) STRICT;
create index confirmation_cards_card on confirmation_cards (merchant, livemode, card);
create index attempts_confirmation_state on attempts (confirmation, state);

-- The scheme's advice that came with a decline (Mastercard's merchant advice code).
alter table charges add column advice_code TEXT;

-- An attempt that was declared not charged is asked for again; what turns up is reversed.
alter table attempts add column watch_at INTEGER;
alter table attempts add column watches INTEGER not null default 0;
alter table attempts add column reversed_ms INTEGER;
-- What an operator said became of it: charged, not_charged; and the acquirer's id when charged.
alter table attempts add column instruction TEXT;
alter table attempts add column instruction_payment TEXT;
create index attempts_watched on attempts (watch_at) where watch_at is not null;

-- Acquirers that an operator has taken out.
create table disabled_routes (
    acquirer   TEXT primary key,
    reason     TEXT not null,
    by_whom    TEXT not null,
    created_ms INTEGER not null
) STRICT;

-- What operators did, never changed.
create table operator_acts (
    id         TEXT primary key,
    created_ms INTEGER not null,
    by_whom    TEXT not null,
    act        TEXT not null,
    subject    TEXT not null,
    reason     TEXT not null
) STRICT;
create index operator_acts_time on operator_acts (created_ms, id);
