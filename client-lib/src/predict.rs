//! Answers: backbone, adapter, head and tokenizer behind one door.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use hub_formats::checkpoint::{
    AdapterFolder, BaseFolder, CheckpointError, base_sentence_head, is_sentence_folder,
};
use hub_schemas::head::{EmbeddingHead, Head};

use crate::{
    backbones::{Backbone, Batch, Compute, Mode},
    data::{Example, TaskKind},
    inputs::{Input, InputEncoder, InputError},
    model::{Attribution, ModelError, StitchedModel},
    tasks::{Encoded, Expected, Origin, Predicted, Task, TaskError},
    text::TOKENIZER_FILE,
};

/// Texts per forward pass. More than this gains nothing on a CPU and costs memory.
const BATCH: usize = 32;

/// Why nothing can be predicted.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// A folder can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Adapter and backbone don't go together.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A text or an image can't be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The task can't be done.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// There is no head.
    #[error("the adapter in `{}` has no head: it predicts nothing", .0.display())]
    NoHead(PathBuf),
    /// Rows with heads of their own give no single prediction.
    #[error("the composition gives its rows to several heads: there is no single answer")]
    NoPrediction,
    /// The head does something else.
    #[error(
        "the adapter in `{}` has a `{kind}` head; answers are read of heads for: {}",
        folder.display(),
        answered()
    )]
    OtherHead {
        /// The adapter's folder.
        folder: PathBuf,
        /// What the head does.
        kind: &'static str,
    },
    /// A stride where nothing is read in windows.
    #[error("`{0}` reads no passages in windows: `--doc-stride` has nothing to set")]
    NoWindows(TaskKind),
    /// The head answers with something that is not a number.
    #[error("the prediction for {text:?} is not a number: the adapter's weights are damaged")]
    NotFinite {
        /// The text's beginning.
        text: String,
    },
}

/// What is stitched into a backbone.
#[derive(Debug)]
pub struct Assembly<'a> {
    /// The adapter, or the composition.
    pub folder: &'a AdapterFolder,
    /// The members of a composition, by the names that it calls them; empty for an adapter.
    pub members: &'a [(String, AdapterFolder)],
    /// Layers without adapters (Rücklé et al., "`AdapterDrop`", 2021).
    pub skip_layers: Vec<usize>,
    /// Longest text in tokens; all that the backbone reads when absent.
    pub max_length: Option<usize>,
    /// Tokens by which windows of a long passage overlap; [`Task::STRIDE`] when absent.
    pub doc_stride: Option<usize>,
    /// Folder of the backbone that looks at pictures, where the adapter describes them.
    pub vision: Option<PathBuf>,
}

impl<'a> Assembly<'a> {
    /// One adapter, as it was trained.
    pub fn of(folder: &'a AdapterFolder) -> Self {
        Self {
            folder,
            members: &[],
            skip_layers: Vec::new(),
            max_length: None,
            doc_stride: None,
            vision: None,
        }
    }

    /// How many positions the backbone counts before it reads a text.
    pub(crate) fn positions_in_front(&self) -> usize {
        let all = self.members.iter().map(|(_, folder)| folder).chain([self.folder]);
        all.map(|folder| folder.method.positions_in_front()).max().unwrap_or(0)
    }
}

/// A model that answers.
#[derive(Debug)]
pub struct Predictor {
    model: StitchedModel,
    encoder: InputEncoder,
    task: Task,
}

impl Predictor {
    /// Stitches the adapter in one folder into the backbone in another.
    pub fn open(base: &Path, adapter: &Path, compute: &Compute) -> Result<Self, PredictError> {
        let folder = AdapterFolder::open(adapter)?;
        Self::assemble(base, &Assembly::of(&folder), compute)
    }

    /// Stitches an adapter, or a composition with its members, into the backbone in a folder.
    pub fn assemble(base: &Path, assembly: &Assembly<'_>, compute: &Compute) -> Result<Self, PredictError> {
        let base = BaseFolder::open(base)?;
        let folder = assembly.folder;
        let adapter = folder.path.as_path();
        if let Some(head) = &folder.head {
            task(adapter, head, &folder.labels)?.check_method(&folder.method)?;
        }
        let backbone = Arc::new(Backbone::load_for(&base, compute)?);
        let members: Vec<_> = assembly.members.iter().map(|(name, f)| (name.clone(), f)).collect();
        let mut model = StitchedModel::load_composition(backbone, folder, &members)?
            .skipping(assembly.skip_layers.clone())?;
        if model.head().is_none()
            && let Some(head) = base_sentence_head(base.path(), &base.config().shape)?
        {
            model = model.under_embedding(&head)?;
        }
        let head = model.head().ok_or_else(|| PredictError::NoHead(adapter.to_owned()))?;
        // `sentence-transformers` reads with the tokenizer that it saved with the adapter.
        let is_own = matches!(head, Head::Embedding(_))
            && adapter.join(TOKENIZER_FILE).is_file()
            && is_sentence_folder(adapter)?;
        let tokenizer = if is_own { adapter } else { base.path() };
        let longest = base.config().longest_input().saturating_sub(assembly.positions_in_front());
        let encoder = encoder((&base, longest), tokenizer, head, assembly.max_length)?;
        let task = task(adapter, head, model.labels())?;
        let task = match assembly.doc_stride {
            Some(_) if task.kind() != TaskKind::QuestionAnswering => {
                return Err(PredictError::NoWindows(task.kind()));
            }
            stride => task.with_stride(stride.unwrap_or(Task::STRIDE)),
        };
        Ok(Self { model, encoder, task })
    }

    /// The plain backbone in a folder of `sentence-transformers`, with the vectors that the folder states. Texts are cut
    /// at `max_length` tokens, or where the folder says.
    pub fn of_sentences(
        base: &BaseFolder,
        head: &EmbeddingHead,
        max_length: Option<usize>,
        compute: &Compute,
    ) -> Result<Self, PredictError> {
        let model =
            StitchedModel::plain(Arc::new(Backbone::load_for(base, compute)?))?.under_embedding(head)?;
        let head = Head::Embedding(head.clone());
        let encoder = encoder((base, base.config().longest_input()), base.path(), &head, max_length)?;
        Ok(Self { model, encoder, task: task(base.path(), &head, &[])? })
    }

    /// The vectors that it makes, where it makes vectors.
    pub fn vectors(&self) -> Option<&EmbeddingHead> {
        match self.model.head() {
            Some(Head::Embedding(head)) => Some(head),
            _ => None,
        }
    }

    /// Names of the labels, in the adapter's order.
    pub fn labels(&self) -> &[String] {
        self.task.labels()
    }

    /// What its head answers.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The model inside.
    pub fn model(&self) -> &StitchedModel {
        &self.model
    }

    /// What makes batches of texts, or of images.
    pub fn encoder(&self) -> &InputEncoder {
        &self.encoder
    }

    /// Answers to `examples`, in the same order. Their texts are names of files where the backbone reads
    /// images or recordings.
    pub fn predict(&self, examples: &[Example]) -> Result<Vec<Predicted>, PredictError> {
        let Encoded { inputs, expected } = self.task.encode(nowhere(), examples, &self.encoder)?;
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        // Like lengths together: less padding.
        order.sort_by_key(|&row| inputs[row].len());
        let mut answers = BTreeMap::new();
        for rows in order.chunks(self.model.rows_at_once(BATCH)) {
            let batch = self.batch(&inputs, expected.as_ref(), rows)?;
            let output = self.model.forward(&batch, Mode::Eval)?;
            let prediction = output.prediction.ok_or(PredictError::NoPrediction)?;
            let readings = expected.read(&prediction, rows)?;
            answers.extend(rows.iter().copied().zip(readings.into_iter().map(|reading| reading.predicted)));
        }
        let answers = expected.answers(answers.into_values().collect());
        examples.iter().zip(&answers).try_for_each(|(example, answer)| check(example, answer))?;
        Ok(answers)
    }

    fn batch(
        &self,
        inputs: &[Input],
        expected: &dyn Expected,
        rows: &[usize],
    ) -> Result<Batch, PredictError> {
        let device = self.model.backbone().device();
        if let Some(altered) = expected.altered(rows, Mode::Eval) {
            return Ok(altered.batch(&self.encoder, device)?);
        }
        let rows: Vec<&Input> = rows.iter().map(|&row| &inputs[row]).collect();
        Ok(self.encoder.batch(&rows, device)?)
    }

    /// Answers one example, and says how fusions and gates chose on the way.
    pub fn explain(&self, example: &Example) -> Result<(Predicted, Vec<Attribution>), PredictError> {
        let Encoded { inputs, expected } =
            self.task.encode(nowhere(), std::slice::from_ref(example), &self.encoder)?;
        let rows: Vec<usize> = (0..inputs.len()).collect();
        let batch = self.batch(&inputs, expected.as_ref(), &rows)?;
        let (output, attributions) = self.model.explain(&batch)?;
        let prediction = output.prediction.ok_or(PredictError::NoPrediction)?;
        let readings = expected.read(&prediction, &rows)?;
        let answers = expected.answers(readings.into_iter().map(|reading| reading.predicted).collect());
        let answer = answers.into_iter().next().ok_or(PredictError::NoPrediction)?;
        check(example, &answer)?;
        Ok((answer, attributions))
    }
}

/// Examples of a person are in no file, and files that they name count from where the program runs.
fn nowhere() -> Origin<'static> {
    Origin { file: "", folder: Path::new("") }
}

fn check(example: &Example, answer: &Predicted) -> Result<(), PredictError> {
    if answer.is_finite() {
        return Ok(());
    }
    Err(PredictError::NotFinite { text: example.key().chars().take(60).collect() })
}

/// What heads answer at once: not word by word.
fn answered() -> String {
    let kinds = TaskKind::ALL.into_iter().filter(|kind| !kind.writes());
    kinds.map(TaskKind::as_str).collect::<Vec<_>>().join(", ")
}

/// What reads a head's inputs, with the tokenizer of a folder: texts are cut where a person says, else where the head
/// says, and where the backbone ends, which reads `longest` tokens.
fn encoder(
    (base, longest): (&BaseFolder, usize),
    tokenizer: &Path,
    head: &Head,
    asked: Option<usize>,
) -> Result<InputEncoder, PredictError> {
    let stated = match head {
        Head::Embedding(head) => head.max_length,
        _ => None,
    };
    let max_length = asked.or(stated).map_or(longest, |length| length.min(longest));
    Ok(InputEncoder::open(tokenizer, base.config(), max_length)?)
}

/// What a head answers.
fn task(adapter: &Path, head: &Head, labels: &[String]) -> Result<Task, PredictError> {
    let task = Task::of_head(head, labels);
    if task.kind().writes() {
        return Err(PredictError::OtherHead { folder: adapter.to_owned(), kind: head.kind() });
    }
    Ok(task)
}
