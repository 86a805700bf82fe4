//! What the registry and the client know of a backbone without its weights:
//! its dimensions, the places an adapter can attach to, and what the modules at
//! those places are called in a Hugging Face checkpoint.
//!
//! One file per architecture maps places to names; nothing else in the project
//! knows a module path.

mod albert;
mod architecture;
mod bart;
mod bert;
mod deberta_v2;
mod distilbert;
mod electra;
mod gpt2;
mod library;
mod llama;
mod modernbert;
mod module;
mod names;
mod roberta;
mod shape;
mod site;
mod t5;
mod targets;
mod variant;
mod vit;
mod whisper;

pub use architecture::{Architecture, UnknownArchitecture};
pub use library::CausalMask;
pub use module::{Module, ParseModuleError, Table};
pub use shape::{BackboneShape, ClassifierShape, ShapeError};
pub use site::{LinearSite, SubLayer, UnknownSite};
pub use targets::Targets;
pub use variant::Variant;
