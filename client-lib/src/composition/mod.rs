//! Several adapters in one backbone.
//!
//! `expression` reads what people write (`Stack(lang, task)`); `stitch` turns it and
//! the loaded adapters into the hooks that the backbone calls.

mod expression;
mod stitch;

pub use expression::{Composition, ExpressionError};
pub use stitch::{Stitch, StitchError};
