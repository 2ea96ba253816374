-- The token of a fresh security code for a saved card, sealed, by the confirmation that brought it. It goes with the outcome.
create table cvc_tokens (
    confirmation TEXT primary key,
    sealed       BLOB not null,
    created_ms   INTEGER not null
) STRICT;
