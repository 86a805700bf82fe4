//! Several adapters in one backbone.
//!
//! `expression` reads what people write (`Stack(lang, task)`), `rules` says which
//! blocks may nest; `stitch` turns it and the loaded adapters into the hooks that the
//! backbone calls, one file for each kind of hook.

mod block;
mod drop;
mod expression;
mod fusion;
mod linear;
mod node;
mod prefix;
mod rules;
mod stitch;
mod sublayer;

pub use block::Composition;
pub use drop::LayerDrop;
pub use expression::ExpressionError;
pub use fusion::Fusion;
pub use node::Semantics;
pub use stitch::{Member, NamedFusion, Quirk, Quirks, Stitch, StitchError};
