//! Text from language models: one token after the other, with keys and values kept.
//!
//! [`Generator`] puts backbone, adapter, tokenizer and chat template together; `cache.rs` keeps what
//! was read, `sampling.rs` chooses tokens, `stop.rs` ends a text.

mod cache;
mod chat;
mod generator;
mod sampling;
mod settings;
mod stop;

pub use cache::Cache;
pub(crate) use cache::Cached;
pub use chat::{ChatError, ChatTemplate, Message};
pub use generator::{GenerateError, Generated, GenerationOptions, Generator};
pub use sampling::Sampling;
