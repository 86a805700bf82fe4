//! Text from language models: one token after the other, with keys and values kept.
//!
//! [`Generator`] puts backbone, adapter, tokenizer and chat template together; `dialogue.rs` says which tokens
//! stand in front of an answer and end it, for whoever learns one too; `cache.rs` keeps what
//! was read, `constraints.rs` says which tokens may stand where, `sampling.rs` chooses among them or
//! `beam.rs` searches, `stop.rs` ends a text. `transcribe.rs` writes recordings down, behind what `speech.rs` puts in
//! front. `compare.rs` measures what was written.

mod beam;
mod cache;
mod chat;
mod compare;
mod config;
mod constraints;
mod dialogue;
mod error;
mod generator;
mod sampling;
mod settings;
mod speech;
mod stop;
mod transcribe;
mod writer;

pub use beam::{BeamOptions, EarlyStopping};
pub use cache::Cache;
pub(crate) use cache::Cached;
pub use chat::{ChatError, ChatTemplate, Message};
pub use compare::{Compared, closeness, compare};
pub use config::GenerationConfig;
pub use constraints::{Constraints, Lengths};
pub use dialogue::{Dialogue, DialogueError, Turn};
pub use error::GenerateError;
pub use generator::{Generated, GenerationOptions, Generator, Prompt, image_prompt};
pub use sampling::Sampling;
pub use speech::{SpeechError, SpeechOptions, SpeechPrompt};
pub use transcribe::Transcript;
