//! Folders on disk: backbones and adapters in the formats of their ecosystems.
//!
//! Tensors are addressed by slot (see `hub_schemas::layout`); only this room knows
//! what they are called on disk.

mod adapters;
mod adapters_config;
mod assemble;
mod assemble_base;
mod base;
mod card;
mod composition;
mod convert;
mod error;
mod fields;
mod folder;
mod gguf;
mod heads;
mod hub;
mod method_file;
mod peft;
mod pickle;
mod publishable;
mod semantics;
mod sentence;
mod setup;
mod weights;
mod whole_model;
mod write;

pub use adapters::FusionFolder;
pub use assemble::{ManifestFacts, assemble_listed, assemble_manifest, file_entries, file_entry, file_sizes};
pub use assemble_base::{AssembledBase, BaseFacts, assemble_base};
pub use base::{BaseFolder, DigestPart};
pub use card::model_card;
pub use composition::{MEMBERS_FILE, note_members};
pub use convert::{convert, convert_on};
pub use error::CheckpointError;
pub use folder::{AdapterFolder, read_bounded};
pub use gguf::{BlockKind, Blocks, GgufError, SharedBytes, gguf_at, gguf_chat_template, gguf_tokenizer};
pub use heads::{FoundHead, base_head};
pub use method_file::read_method;
pub use pickle::PickleError;
pub use publishable::{writable_format, write_publishable};
pub use sentence::{base_sentence_head, is_sentence_folder, sentence_head};
pub use setup::SetupFolder;
pub use weights::{SlotData, TensorFile, pickled_name};
pub use write::{AdapterToWrite, write_adapter};
