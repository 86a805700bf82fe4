//! Folders cross the border to PEFT and `adapters` in both directions and mean the same there.
//!
//! `heads`: every prediction head, in both directions.
//! `merging`: merged, extracted and baked adapters compute what their formulas say.
//! `reads`: what those libraries saved gives the same numbers in `hub forward`.
//! `writes`: what we convert or train gives the same numbers in those libraries.

#[path = "interop/heads.rs"]
mod heads;
#[path = "interop/merging.rs"]
mod merging;
#[path = "interop/reads.rs"]
mod reads;
#[path = "interop/writes.rs"]
mod writes;
#[path = "interop/writing.rs"]
mod writing;
