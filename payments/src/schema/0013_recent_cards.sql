-- When a confirmation sent its card: what counts against a card is looked for from its newest confirmation backwards.
alter table confirmation_cards add column created_ms INTEGER not null default 0;
drop index confirmation_cards_card;
create index confirmation_cards_recent on confirmation_cards (merchant, livemode, card, created_ms);
