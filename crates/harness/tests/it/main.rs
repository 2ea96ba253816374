//! Tests that span the repository: the walls between its parts, its house rules, and a card's whole way through the
//! running programs.

mod acquirers;
mod canary;
mod gate;
mod house;
mod kills;
mod walls;
