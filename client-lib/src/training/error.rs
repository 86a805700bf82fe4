//! Why training, evaluation or prediction stopped.

use std::path::{Path, PathBuf};

use hub_formats::checkpoint::CheckpointError;
use hub_schemas::{Digest, backbone::Architecture, label::LabelError};

use crate::{
    data::{DataError, TaskKind},
    generation::{DialogueError, GenerateError},
    inputs::InputError,
    metrics::Metric,
    model::ModelError,
    tasks::TaskError,
};

/// Why training, evaluation or prediction stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The data can't be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A text can't be encoded.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A folder can't be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Adapter and backbone don't go together.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The task can't be done on this backbone or with this method.
    #[error(transparent)]
    Task(TaskError),
    /// A metric decides that is not measured.
    #[error("`{metric}` is not measured for `{task}`; there are: {}", known.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", "))]
    NotMeasured {
        /// What was to decide.
        metric: Metric,
        /// The task.
        task: TaskKind,
        /// What is measured.
        known: Vec<Metric>,
    },
    /// A name that no manifest may hold.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A head that PEFT's format has no place for.
    #[error("PEFT saves no head for `{0}` beside an adapter")]
    NotSavedByPeft(TaskKind),
    /// A head where the base model's own is learned under.
    #[error("`{0}` is learned under the base model's own head: there is none to choose or to train alone")]
    NoHeadOfItsOwn(TaskKind),
    /// A base model that writes nothing.
    #[error(
        "`{task}` is learned under the language model's head of {wanted}; the base model is `{architecture}`{found}"
    )]
    NoLanguageModel {
        /// The task.
        task: TaskKind,
        /// What it needs.
        wanted: &'static str,
        /// What the base model is.
        architecture: Architecture,
        /// What is missing from it, where it is of the right kind.
        found: &'static str,
    },
    /// How the base model writes can't be found out.
    #[error(transparent)]
    Generate(Box<GenerateError>),
    /// A choice of what the head reads, where it reads everything.
    #[error("a head for `{0}` reads every token: `--pooling` has nothing to choose")]
    NoPooling(TaskKind),
    /// Pictures for a task that describes none.
    #[error("with `--vision` pictures are described, which is `causal-lm`")]
    NotDescribed,
    /// A method that sees nothing.
    #[error("`{0}` has no place for what is seen")]
    Unseeing(String),
    /// A number of layers for a head that has none.
    #[error("a head for `{0}` has no linear layers: `--head-layers` has nothing to choose")]
    NoLayers(TaskKind),
    /// A head that is nothing but a rule.
    #[error("a head for `{0}` has no weights: `last-layer` has nothing to train; choose another `--method`")]
    NothingInHead(TaskKind),
    /// A backbone that reads two texts.
    #[error("`{task}` is not learned on `{architecture}` models, which have a decoder behind their encoder")]
    EncoderDecoder {
        /// What was to be learned.
        task: TaskKind,
        /// The base model's architecture.
        architecture: Architecture,
    },
    /// What would be trained at a table that PEFT's wrapper reaches nobody through.
    #[error(
        "PEFT changes nothing by `shared` of a `{0}` model: encoder and decoder read that table by names of their own"
    )]
    SharedTable(Architecture),
    /// A hyper-parameter is out of range.
    #[error("`{name}` is {value}; it must be {rule}")]
    Option {
        /// The option, as on the command line.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        rule: &'static str,
    },
    /// The loss or the gradient left the numbers.
    #[error(
        "the {what} is not a finite number at step {step} (learning rate {rate:.2e}); training diverged: try a lower learning rate"
    )]
    NotFinite {
        /// `loss` or `gradient`.
        what: &'static str,
        /// The step, from 1.
        step: u64,
        /// The learning rate of that step.
        rate: f64,
    },
    /// A step without examples.
    #[error("a step has no examples to learn from")]
    NoRows,
    /// A GPU has no room for a step.
    #[error(
        "the memory of the GPU is full: it has no room for {}",
        room(*examples, *fits, *batch_size)
    )]
    DeviceFull {
        /// How many were computed at once.
        examples: usize,
        /// How many of them there is room for.
        fits: usize,
        /// Examples of a step.
        batch_size: usize,
    },
    /// A trainable tensor that the loss does not depend on.
    #[error("no gradient reaches `{slot}`: an operation on the way cuts it off")]
    NoGradient {
        /// The tensor.
        slot: String,
    },
    /// Training would overwrite something.
    #[error("the folder `{}` is not empty", .0.display())]
    OutputNotEmpty(PathBuf),
    /// An interrupted run lies there, and nobody said to go on with it.
    #[error("the folder `{}` holds an interrupted training run", .0.display())]
    Interrupted(PathBuf),
    /// There is no interrupted run to go on with.
    #[error("the folder `{}` holds no interrupted training run", .0.display())]
    NothingToResume(PathBuf),
    /// The interrupted run was another one.
    #[error("the run in `{}` can't be resumed: `{field}` was {before} and is {now} now", path.display())]
    OtherRun {
        /// The folder.
        path: PathBuf,
        /// What differs.
        field: String,
        /// Its value when the run began.
        before: String,
        /// Its value now.
        now: String,
    },
    /// The saved run can't be read.
    #[error("the saved run `{}` can't be used: {reason}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A member of a composition was trained on another backbone.
    #[error("`{name}` was trained on a base model with the weights {wanted}; this base model has {found}")]
    OtherBase {
        /// The member.
        name: String,
        /// Digest of the weights it was trained on.
        wanted: Digest,
        /// Digest of those in use.
        found: Digest,
    },
    /// A member's version can't be required.
    #[error("a member's version can't be used: {0}")]
    Version(String),
    /// Two members with one name.
    #[error("two of the adapters are called `{0}`")]
    SameName(String),
    /// The head needs a pooler that the checkpoint lacks.
    #[error("the head reads the pooled output, but the base model's checkpoint has no pooler")]
    NoPooler,
    /// A method that is not trained above another adapter.
    #[error(
        "`{0}` can't be trained on top of another adapter: bottlenecks, updates of linear layers and heads can"
    )]
    NotOnTop(String),
    /// Nothing to choose from.
    #[error("a fusion needs at least two adapters; {0} is named")]
    FewMembers(usize),
    /// The model predicts nothing.
    #[error("the adapter has no head: it predicts nothing")]
    NoHead,
    /// What frozen layers give can't be kept, or not be read again.
    #[error("can't keep what the frozen layers give for every example: {0}")]
    Kept(#[source] std::io::Error),
    /// Reading or writing failed.
    #[error("can't {action} `{}`: {source}", path.display())]
    Io {
        /// `read`, `write`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl From<GenerateError> for TrainingError {
    fn from(error: GenerateError) -> Self {
        Self::Generate(Box::new(error))
    }
}

/// What there is room for, and how to make use of it.
fn room(examples: usize, fits: usize, batch_size: usize) -> String {
    match fits {
        0 => "one example".to_owned(),
        _ => format!(
            "{examples} examples at once, but for {fits}; `--accumulate {}` computes a step in parts that fit",
            batch_size.div_ceil(fits)
        ),
    }
}

impl From<TaskError> for TrainingError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Data(error) => Self::Data(error),
            TaskError::Input(error) => Self::Input(error),
            TaskError::Tensor(error) => Self::Tensor(error),
            other => Self::Task(other),
        }
    }
}

impl TrainingError {
    /// Turns a failed write of `path` into an error.
    pub(super) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action: "write", path, source }
    }

    /// The next step, where it is not part of the message.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::OutputNotEmpty(_) => {
                Some("choose another `--output`, or pass `--overwrite` to replace what is there")
            }
            Self::Interrupted(_) => {
                Some("pass `--resume` to go on with it, or `--overwrite` to start again from nothing")
            }
            Self::NotSavedByPeft(_) => {
                Some("choose a method that `adapters` has, such as `--method pfeiffer`")
            }
            Self::Unseeing(_) => Some("choose `--method llama-adapter-heads`, or `--method llama-adapter`"),
            Self::Task(TaskError::Dialogue(DialogueError::NoLanguage(_))) => {
                Some("name one, as in `--language de`")
            }
            Self::EncoderDecoder { .. } => Some(
                "they learn to write (`--head seq2seq-lm`), to label texts (`classification`, `multi-label-classification`, `regression`) and to find answers (`question-answering`)",
            ),
            Self::SharedTable(_) => Some(
                "name `encoder.embed_tokens` or `decoder.embed_tokens` instead of `shared` in the method's file",
            ),
            Self::NoLanguageModel { .. } => Some(
                "choose another base model, or say with `--head` what is learned, as in `--head classification`",
            ),
            Self::SameName(_) => Some("name them apart, as in `--fuse first=DIR --fuse second=DIR`"),
            Self::NoPooler => Some(
                "choose a method that `adapters` has, such as `--method pfeiffer`, whose heads may read the mean; those of PEFT read the pooler",
            ),
            Self::NotOnTop(_) => Some("choose a method such as `--method pfeiffer` or `--method lora`"),
            Self::FewMembers(_) => Some("pass `--fuse` once for each, as in `--fuse legal --fuse finance`"),
            Self::OtherBase { .. } => Some("pass the base model of the members with `--base`"),
            Self::NothingToResume(_) => Some("leave out `--resume` to start a new run"),
            Self::OtherRun { .. } => {
                Some("pass the options of the interrupted run, or `--overwrite` to start again from nothing")
            }
            Self::Kept(_) => Some(
                "make room on the disk of the output folder, or let them run in every step: `--keep-states 0`",
            ),
            Self::DeviceFull { fits: 0, .. } => {
                Some("shorten texts with `--max-length`, pass `--precision bf16`, or `--device cpu`")
            }
            Self::State { .. } => Some("pass `--overwrite` to start again from nothing"),
            _ => None,
        }
    }
}
