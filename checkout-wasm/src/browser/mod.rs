//! The frame in the browser: Leptos, what comes from and goes to the page, and the way to the vault. `front.js` was there
//! before: the channel itself, and what is seen of the page's options, are its.
//!
//! Order of reading: [`frame`] (what there is one of), [`events`] (what the buyer types), [`channel`] (what the page may
//! ask and hear), [`options`] (what it may set), [`vault`] (session, sealing, token), [`inputs`] (where the card is), [`object`] (JavaScript values).

pub mod channel;
pub mod events;
pub mod frame;
pub mod inputs;
pub mod object;
pub mod options;
pub mod vault;

pub use frame::start;

use lol_alloc::{FreeListAllocator, LockedAllocator};

/// A free list, in place of the standard library's allocator: that one weighs 3 kB more (brotli) and is made for
/// programs that allocate more than a form's few hundred pieces.
#[global_allocator]
static ALLOCATOR: LockedAllocator<FreeListAllocator> =
    LockedAllocator::new(FreeListAllocator::new());
