//! Why no text can be generated.

use std::path::PathBuf;

use hub_formats::checkpoint::CheckpointError;

use super::{DialogueError, SpeechError};
use crate::{audio::AudioProcessorError, model::ModelError, text::TextError, vision::VisionError};

/// Why no text can be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A folder can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Adapter and backbone don't go together.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The prompt can't be encoded.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The recording can't be read.
    #[error(transparent)]
    Audio(#[from] AudioProcessorError),
    /// An image can't be looked at.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// Nothing looks at images, and the adapter describes them.
    #[error("`{name}` describes pictures that `{base}` looks at: that base model is needed too")]
    NoVision {
        /// The adapter.
        name: String,
        /// The backbone's usual name.
        base: String,
    },
    /// A prompt can't be written down.
    #[error(transparent)]
    Dialogue(#[from] DialogueError),
    /// Nothing can be written down as asked.
    #[error(transparent)]
    Speech(#[from] SpeechError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// What the backbone's folder says about generating can't be used.
    #[error("`{}` can't be used: {reason}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no language model.
    #[error(
        "neither the adapter nor the base model has a language model's head: there is nothing that writes"
    )]
    NoLanguageModel,
    /// A method that looks at the whole sequence.
    #[error(
        "`{name}` can't generate: {reason}, so that what was read would have to be computed again for every token"
    )]
    WholeSequence {
        /// The adapter's name.
        name: String,
        /// What it does.
        reason: &'static str,
    },
    /// The prompt leaves no room.
    #[error("the prompt has {tokens} tokens; this backbone reads {most} in all")]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// What the backbone reads.
        most: usize,
    },
    /// Draws from several beams.
    #[error("{0} beams are searched for the most probable text: they can't be drawn from at a temperature")]
    DrawnBeams(usize),
    /// The scores are not numbers.
    #[error("the model's scores are not numbers: the weights are damaged")]
    NotFinite,
}
