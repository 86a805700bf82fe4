//! A whole training job: from a backbone's folder and a data file to what will be trained.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::Device;
use hub_formats::{
    architectures::TransformerConfig,
    checkpoint::{AdapterFolder, BaseFolder, CheckpointError, base_sentence_head},
};
use hub_schemas::{
    AdapterId, Version,
    backbone::Architecture,
    head::Head,
    label::{Language, License, TaskId},
    layout::{self, Format, HeadTask, Slot, Subject},
    manifest::{BaseModel, DataSource},
    method::{CompositionConfig, Method, Tie, without_words},
};
use serde_json::{Map, Value, json};

use super::{
    TrainingError,
    batching::{epoch_batches, padding_share},
    fusion::{self, FrozenMember, ON_TOP_OF},
    head_choice::{HeadChoice, OfBase},
    learner::ExampleSet,
    observer::Preparation,
    options::HyperParameters,
    output::Existing,
};
use crate::{
    backbones::{Backbone, Compute},
    data::{ColumnOptions, ColumnRef, DataFile, Example, IMAGES, Notice, TaskKind, split},
    generation::Dialogue,
    inputs::{Input, InputEncoder},
    methods::saved_form,
    metrics::Metric,
    tasks::{Origin, Task, TaskError},
    vision::Vision,
};

/// Everything that a person decides about a training run.
#[derive(Debug, Clone)]
pub struct TrainingJob {
    /// Folder of the backbone.
    pub base: PathBuf,
    /// The backbone's usual name; the folder's own guess when absent.
    pub base_id: Option<String>,
    /// Examples to train on.
    pub data: PathBuf,
    /// Examples to choose the best checkpoint by; a share of `data` when absent.
    pub validation: Option<PathBuf>,
    /// Examples for a final measurement that decides nothing.
    pub test: Option<PathBuf>,
    /// What the data is for; the file says so when absent.
    pub kind: Option<TaskKind>,
    /// Where text and label stand.
    pub columns: ColumnOptions,
    /// Folder of the backbone that looks at pictures, where they are described.
    pub vision: Option<PathBuf>,
    /// The adapter.
    pub method: Method,
    /// Adapters that stay as they are: those that a composition fuses, or else those that the new one is
    /// trained on top of, the lowest first.
    pub members: Vec<FrozenMember>,
    /// What the head is like, as far as a person says.
    pub head: HeadChoice,
    /// How to train.
    pub options: HyperParameters,
    /// Where the adapter will lie.
    pub output: PathBuf,
    /// What to do with what lies there.
    pub existing: Existing,
    /// What the manifest will say.
    pub facts: Facts,
}

/// What the manifest says that no data tells.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Full name.
    pub name: AdapterId,
    /// Version.
    pub version: Version,
    /// What it is for; the kind of task when absent.
    pub task: Option<TaskId>,
    /// A narrower task.
    pub subtask: Option<TaskId>,
    /// Licence of the weights.
    pub license: License,
    /// Languages of the data.
    pub languages: Vec<Language>,
    /// One or two sentences; made up from the rest when absent.
    pub description: Option<String>,
}

/// The part of a data file that serves one purpose.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) source: DataSource,
    pub(super) set: ExampleSet<Vec<Input>>,
}

/// A job whose inputs were read and fit together.
#[derive(Debug)]
pub struct PreparedJob {
    pub(super) job: TrainingJob,
    pub(super) base: BaseModel,
    pub(super) backbone: Arc<Backbone>,
    pub(super) encoder: InputEncoder,
    pub(super) task: Task,
    /// The adapter's own; none where the base model's is left in place.
    pub(super) head: Option<Head>,
    pub(super) members: Vec<(String, AdapterFolder)>,
    /// What the manifest states about members that the new adapter is on top of.
    pub(super) below: Option<String>,
    pub(super) format: Format,
    pub(super) training: Part,
    pub(super) validation: Part,
    pub(super) test: Option<Part>,
    /// What a person should know about the data.
    pub notices: Vec<Notice>,
    /// Sizes.
    pub preparation: Preparation,
    reads_pairs: bool,
}

/// Examples of one purpose, before they are encoded.
struct RawPart {
    source: DataSource,
    examples: Vec<Example>,
    /// Where files that the examples name are.
    folder: PathBuf,
}

impl RawPart {
    fn new(file: &DataFile, split: &str, examples: Vec<Example>) -> Self {
        let rows = examples.len() as u64;
        let source = DataSource {
            name: file.name.clone(),
            split: split.to_owned(),
            rows,
            digest: file.digest,
            extra: Map::new(),
        };
        Self { source, examples, folder: file.folder.clone() }
    }

    fn encode(self, task: &Task, encoder: &InputEncoder) -> Result<Part, TrainingError> {
        let origin = Origin { file: &self.source.name, folder: &self.folder };
        let set = task.encode(origin, &self.examples, encoder)?.into();
        Ok(Part { source: self.source, set })
    }
}

impl TrainingJob {
    /// Reads everything and checks that it fits together: cheap things first.
    pub fn prepare(mut self, device: &Device) -> Result<PreparedJob, TrainingError> {
        self.options.validate()?;
        let mut notices = Vec::new();
        let compute = Compute { device: device.clone(), arithmetic: self.options.arithmetic };
        let vision = self.open_vision(&compute)?;
        let folder = BaseFolder::open(&self.base)?;
        let architecture = folder.config().architecture;
        let (mut task, training, validation, test) = self.read_data(architecture, &mut notices)?;
        let folder = with_decoder(folder, task.kind())?;
        let config = folder.config().clone();
        task.check_method(&self.method)?;
        self.options.selection = Some(self.selection(&task)?);
        check_base(&folder, task.kind())?;
        if self.options.recompute {
            check_chain(&config)?;
        }
        let longest = config.longest_input().saturating_sub(self.method.positions_in_front());
        let max_length = self.options.max_length.min(longest);
        if task.kind().writes() {
            let dialogue = Dialogue::open(&folder)?.within(max_length);
            task = task.with_dialogue(dialogue.spoken_in(&self.facts.languages));
        }
        let (kind, outputs) = (task.kind(), task.outputs());
        let of_base = self.of_base(&folder, kind)?;
        let head = self.head.resolve(&self.method, &config, kind, outputs, &of_base)?;
        if let Some(head) = &head {
            task = task.with_texts_of(head);
        }
        notices.extend(of_base.vectors.map(|stated| Notice::Vectors { stated: stated.summary() }));
        let format = layout::native_format(&self.method, config.architecture, &config.shape);
        self.method.validate(&config.shape).map_err(CheckpointError::from)?;
        refuse_shared_table(&self.method, format, &folder)?;
        let saved = saved_form(&self.method);
        let subject = Subject {
            architecture: config.architecture,
            shape: &config.shape,
            method: &saved,
            head: head.as_ref(),
            name: self.facts.name.name.as_str(),
            prefixed: true,
        };
        layout::weights_files(format, &subject).map_err(CheckpointError::from)?;
        let base = folder.model(self.base_id.as_deref())?;
        let members = fusion::open_members(&self.members, &base)?;
        let is_stack = !matches!(self.method, Method::Composition(_));
        if !is_stack {
            notices.extend(fusion::apart(&members));
        }
        if is_stack && !members.is_empty() && !fusion::stacks(&self.method) {
            return Err(TrainingError::NotOnTop(self.method.summary()));
        }
        let below = if is_stack { fusion::below(&members)? } else { None };
        let encoder = InputEncoder::open(&self.base, &config, max_length)?.seeing(vision);
        let reads_pairs = training.examples.first().is_some_and(|example| example.texts.len() == 2);
        let training = training.encode(&task, &encoder)?;
        let validation = validation.encode(&task, &encoder)?;
        let test = test.map(|test| test.encode(&task, &encoder)).transpose()?;
        notices.extend(cut(&training.set, encoder.reads_audio(), max_length));
        let count = |slots: Vec<Slot>| slots.iter().filter(|s| s.trainable).map(Slot::len).sum::<usize>();
        let head_slots = |head| layout::head_slots(head, config.shape.hidden_size);
        let mut head_slots = head.as_ref().map_or_else(Vec::new, head_slots);
        // A table that is tied to the frozen word embedding is saved, but not trained.
        head_slots.retain(|slot| !folder.ties_embeddings() || slot.name != layout::DECODER);
        let options = &self.options;
        let lengths = &training.set.lengths;
        let preparation = Preparation {
            method_parameters: count(layout::method_slots(&self.method, &config.shape)),
            head_parameters: count(head_slots),
            backbone_parameters: (config.tensors().iter())
                .filter(|tensor| folder.tensor(&tensor.canonical).is_some())
                .map(|tensor| tensor.shape.iter().product::<usize>())
                .sum(),
            training_examples: training.source.rows as usize,
            validation_examples: validation.source.rows as usize,
            test_examples: test.as_ref().map_or(0, |test| test.source.rows as usize),
            labels: task.labels().len(),
            steps: options.plan(lengths.len()).total,
            padding_share: padding_share(
                lengths,
                &epoch_batches(lengths, options.batch_size, options.seed, 0),
            ),
        };
        let backbone = Arc::new(Backbone::load_for(&folder, &compute)?);
        Ok(PreparedJob {
            job: self,
            base,
            backbone,
            encoder,
            task,
            head,
            members,
            below,
            format,
            training,
            validation,
            test,
            notices,
            preparation,
            reads_pairs,
        })
    }

    /// What the base model brings; what its folder says of vectors counts where they are learned and nobody says otherwise.
    fn of_base(&self, folder: &BaseFolder, kind: TaskKind) -> Result<OfBase, CheckpointError> {
        let is_asked = kind == TaskKind::Embedding && self.head.pooling.is_none();
        let vectors =
            if is_asked { base_sentence_head(folder.path(), &folder.config().shape)? } else { None };
        Ok(OfBase { has_pooler: folder.has_pooler(), vectors })
    }

    /// The backbone that looks at pictures, which the method is made for and the data then holds.
    fn open_vision(&mut self, compute: &Compute) -> Result<Option<Arc<Vision>>, TrainingError> {
        let Some(folder) = &self.vision else { return Ok(None) };
        if self.kind.is_some_and(|kind| kind != TaskKind::CausalLm) {
            return Err(TrainingError::NotDescribed);
        }
        let vision = Vision::open(folder, compute).map_err(TaskError::from)?;
        let Method::LlamaAdapter(config) = &mut self.method else {
            return Err(TrainingError::Unseeing(self.method.summary()));
        };
        config.image = Some(vision.prompt());
        self.kind = Some(TaskKind::CausalLm);
        self.columns.image.get_or_insert_with(|| ColumnRef::Name(IMAGES.to_owned()));
        Ok(Some(Arc::new(vision)))
    }

    fn read_data(
        &self,
        architecture: Architecture,
        notices: &mut Vec<Notice>,
    ) -> Result<(Task, RawPart, RawPart, Option<RawPart>), TrainingError> {
        let mut file = DataFile::read(&self.data, self.kind, &self.columns)?;
        if self.kind.is_none() {
            file = file.on(architecture);
        }
        notices.extend(file.notices.iter().cloned());
        let task = Task::of(&file)?.with_stride(self.options.doc_stride);
        let other = |path: &PathBuf, purpose: &str, notices: &mut Vec<Notice>| {
            let other = DataFile::read(path, Some(file.kind), &self.columns)?;
            notices.extend(other.notices.iter().filter(|n| matches!(n, Notice::Skipped { .. })).cloned());
            notices.extend(other.leak(&file.examples));
            // An unknown label is an error before anything slow happens.
            task.check(&other)?;
            Ok::<_, TrainingError>(RawPart::new(&other, purpose, other.examples.clone()))
        };
        let test = self.test.as_ref().map(|path| other(path, "test", notices)).transpose()?;
        let (training, validation) = if let Some(path) = &self.validation {
            let validation = other(path, "validation", notices)?;
            (RawPart::new(&file, "train", file.examples.clone()), validation)
        } else {
            let (training, validation) = split(&file, self.options.validation_share, self.options.seed)?;
            (RawPart::new(&file, "train", training), RawPart::new(&file, "validation", validation))
        };
        Ok((task, training, validation, test))
    }

    /// What makes a checkpoint the best: as told, else the most telling metric.
    fn selection(&self, task: &Task) -> Result<Metric, TrainingError> {
        let known: Vec<Metric> = task.metrics().iter().copied().chain([Metric::Loss]).collect();
        match self.options.selection {
            None => Ok(known[0]),
            Some(metric) if known.contains(&metric) => Ok(metric),
            Some(metric) => Err(TrainingError::NotMeasured { metric, task: task.kind(), known }),
        }
    }
}

/// The base model as a job on these data reads it, to which its method has to fit.
pub fn open_base(
    base: &Path,
    data: &Path,
    kind: Option<TaskKind>,
    columns: &ColumnOptions,
) -> Result<BaseFolder, TrainingError> {
    let folder = BaseFolder::open(base)?;
    let architecture = folder.config().architecture;
    let kind = match kind {
        Some(kind) => kind,
        // Of other architectures there is one reading whatever is learned.
        None if !architecture.reads_audio() => return Ok(folder),
        None => DataFile::read(data, None, columns)?.on(architecture).kind,
    };
    with_decoder(folder, kind)
}

/// What an encoder is enough for elsewhere writes with its decoder.
fn with_decoder(folder: BaseFolder, kind: TaskKind) -> Result<BaseFolder, TrainingError> {
    let is_partial = kind == TaskKind::Seq2SeqLm && folder.config().shape.decoder_layers.is_none();
    if is_partial { Ok(BaseFolder::open_whole(folder.path())?) } else { Ok(folder) }
}

/// Refuses to compute blocks anew where they are more than a chain.
fn check_chain(config: &TransformerConfig) -> Result<(), TrainingError> {
    if config.is_chain() {
        return Ok(());
    }
    Err(TrainingError::Option {
        name: "--gradient-checkpointing",
        value: "set".to_owned(),
        rule: "left out where a decoder stands behind an encoder, or a head reads every layer",
    })
}

/// Refuses to train what PEFT would load and not compute: changes to the table of words behind an encoder.
fn refuse_shared_table(method: &Method, format: Format, base: &BaseFolder) -> Result<(), TrainingError> {
    let (architecture, shape) = (base.config().architecture, base.config().shape);
    let is_shared = architecture.shares_words() && shape.decoder_layers.is_some();
    let tie = if base.ties_embeddings() { Tie::Tied } else { Tie::Apart };
    if format == Format::Peft && is_shared && without_words(method, tie).as_ref() != Some(method) {
        return Err(TrainingError::SharedTable(architecture));
    }
    Ok(())
}

/// That something was too long, where it was.
fn cut(set: &ExampleSet<Vec<Input>>, are_recordings: bool, max_length: usize) -> Vec<Notice> {
    let found = set.inputs.iter().filter(|input| input.is_truncated()).count();
    let of = set.rows();
    let truncated = |texts| Notice::Truncated { texts, of, max_length };
    if !are_recordings {
        return (found > 0).then(|| truncated(found)).into_iter().collect();
    }
    let (unheard, unwritten) = (Notice::Unheard { recordings: found, of }, set.expected.cut_answers());
    let unwritten = (unwritten > 0).then(|| truncated(unwritten));
    (found > 0).then_some(unheard).into_iter().chain(unwritten).collect()
}

/// Refuses what a base model can't learn.
fn check_base(base: &BaseFolder, kind: TaskKind) -> Result<(), TrainingError> {
    let architecture = base.config().architecture;
    let is_behind = base.config().shape.decoder_layers.is_some();
    let (is_right, wanted, class) = match kind {
        TaskKind::CausalLm => (architecture.is_decoder(), "a decoder", HeadTask::CausalLm),
        TaskKind::Seq2SeqLm => (is_behind, "an encoder with a decoder behind it", HeadTask::Seq2SeqLm),
        TaskKind::Classification
        | TaskKind::MultiLabel
        | TaskKind::Regression
        | TaskKind::QuestionAnswering => return Ok(()),
        _ if is_behind => return Err(TrainingError::EncoderDecoder { task: kind, architecture }),
        _ => return Ok(()),
    };
    let has_head = base.model_class().is_some_and(|own| own.task() == class);
    let found = if is_right { ", whose checkpoint brings no such head" } else { "" };
    if is_right && has_head {
        return Ok(());
    }
    Err(TrainingError::NoLanguageModel { task: kind, wanted, architecture, found })
}

impl PreparedJob {
    /// The method with the numbers that set its size.
    pub fn method_summary(&self) -> String {
        self.job.method.summary()
    }

    /// Whose file layout the weights will have.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What is trained for.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Label names, in the order of their numbers.
    pub fn labels(&self) -> &[String] {
        self.task.labels()
    }

    /// The token that stands for a hidden one, as it is typed.
    pub fn mask_token(&self) -> Option<String> {
        let text = self.encoder.text()?;
        text.token(text.mask_token()?)
    }

    /// Whether pictures are described.
    pub fn sees(&self) -> bool {
        self.encoder.vision().is_some()
    }

    /// Whether an example is two texts.
    pub fn reads_pairs(&self) -> bool {
        self.reads_pairs
    }

    /// Where the data comes from, as the manifest states it.
    pub(super) fn sources(&self) -> Vec<DataSource> {
        let parts = [Some(&self.training), Some(&self.validation), self.test.as_ref()];
        parts.into_iter().flatten().map(|part| part.source.clone()).collect()
    }

    /// The adapter's name inside tensor names. A fusion's head is called like the fusion, as
    /// `load_adapter_fusion(…, with_head=True)` of `adapters` looks for it.
    pub(super) fn tensor_name(&self) -> &str {
        match &self.job.method {
            Method::Composition(CompositionConfig { fusion: Some(fusion), .. }) => &fusion.name,
            _ => self.job.facts.name.name.as_str(),
        }
    }

    /// Everything that the bytes of the result depend on.
    pub(super) fn identity(&self) -> Map<String, Value> {
        let plan = self.job.options.plan(self.training.set.rows());
        let mut identity: Map<String, Value> = self.job.options.record(&plan).into_iter().collect();
        // Another device rounds differently.
        if !self.backbone.device().is_cpu() {
            identity.insert("device".to_owned(), json!("cuda"));
        }
        identity.insert("seed".to_owned(), json!(self.job.options.seed));
        identity.insert("base model".to_owned(), json!(self.base.weights_digest));
        identity.insert("data".to_owned(), json!(self.sources()));
        identity.insert("labels".to_owned(), json!(self.labels()));
        if let Some(language) = self.task.spoken() {
            identity.insert("language".to_owned(), json!(language));
        }
        identity.insert("method".to_owned(), json!(self.job.method));
        identity.insert("head".to_owned(), json!(self.head));
        if let Some(below) = &self.below {
            identity.insert(ON_TOP_OF.to_owned(), json!(below));
        }
        identity.insert("hub version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        identity
    }
}
