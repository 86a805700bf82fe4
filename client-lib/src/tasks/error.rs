//! Why a task can't read examples or answers.

use crate::{
    data::{DataError, TaskKind},
    generation::DialogueError,
    inputs::InputError,
    text::TextError,
    vision::VisionError,
};

/// Why a task can't read examples or answers.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The data can't be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An input can't be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// An image can't be looked at.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A task of words on a backbone that reads none.
    #[error("`{0}` is a task for texts; the base model reads none")]
    NeedsText(TaskKind),
    /// A question without a passage, or more than that.
    #[error("a question needs one passage to find its answer in; here are {0} texts")]
    NoPassage(usize),
    /// More texts than are compared, or none.
    #[error("a text has a vector, and two are compared; here are {0} texts")]
    NotCompared(usize),
    /// A text with too few choices, or another number of them than the others.
    #[error(
        "a text needs two choices or more, and every text as many: here are {found}, and {expected} before"
    )]
    Choices {
        /// How many there are.
        found: usize,
        /// How many the first text has.
        expected: usize,
    },
    /// A tokenizer that can't hide tokens.
    #[error("the base model's tokenizer has no mask token: nothing can be hidden from it")]
    NoMaskToken,
    /// A text that asks nothing.
    #[error("there is no `{0}` in the text, where a token would be found")]
    NoMask(String),
    /// A prompt behind the first token.
    #[error(
        "`{0}` reads every token, which is not computed with a prompt behind the first one (`prefix_after_bos`)"
    )]
    PromptInside(TaskKind),
    /// A prompt in front of words that are found by their tokens.
    #[error(
        "`{0}` finds words by the numbers of their tokens, which is not computed with a prompt in front of them"
    )]
    PromptBeforeWords(TaskKind),
    /// A method that looks at what is still to be written.
    #[error("`{kind}` can't be learned with this method: {reason}, and what comes next is not known yet")]
    WholeSequence {
        /// The task.
        kind: TaskKind,
        /// What the method does.
        reason: &'static str,
    },
    /// A prompt or an answer can't be written down.
    #[error(transparent)]
    Dialogue(#[from] DialogueError),
    /// The longest input is full before the answer begins.
    #[error(
        "a length of {max_length} tokens leaves no room for an answer: what stands in front of it has {prompt} tokens even without its text"
    )]
    NoRoom {
        /// The longest input.
        max_length: usize,
        /// Tokens in front of the answer.
        prompt: usize,
    },
    /// Nothing to write.
    #[error("no example for `{0}` has a text to write")]
    NothingAsked(TaskKind),
    /// The head gives something else than its kind says.
    #[error("the head's output has the shape {found:?}; `{kind}` reads {expected}")]
    Output {
        /// The task.
        kind: TaskKind,
        /// The shape of the output.
        found: Vec<usize>,
        /// The shape it should have.
        expected: &'static str,
    },
}

impl From<TextError> for TaskError {
    fn from(error: TextError) -> Self {
        Self::Input(error.into())
    }
}
