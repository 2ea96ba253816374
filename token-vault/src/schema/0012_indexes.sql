-- No query used it: events are listed by time, whoever's they are.
drop index audit_events_merchant;
