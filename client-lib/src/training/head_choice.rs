//! Which head is trained.

use hub_formats::architectures::TransformerConfig;
use hub_schemas::{
    backbone::Architecture,
    head::{
        ClassificationHead, DependencyParsingHead, EmbeddingHead, Head, LanguageModelHead,
        MultipleChoiceHead, Pooling, QuestionAnsweringHead, TaggingHead,
    },
    layout::{Format, HeadSizes, HeadTask, ModelClass, native_format},
    method::Method,
};

use super::TrainingError;
use crate::data::TaskKind;

/// What a person says about the head; what is left open follows from method and backbone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadChoice {
    /// What it reads.
    pub pooling: Option<Pooling>,
    /// Its linear layers.
    pub layers: Option<usize>,
}

/// What a base model brings that a head may read.
#[derive(Debug, Default)]
pub(super) struct OfBase {
    /// Whether it has a pooler.
    pub(super) has_pooler: bool,
    /// The vectors that its folder states.
    pub(super) vectors: Option<EmbeddingHead>,
}

impl HeadChoice {
    /// The head; none where the base model's own is left in place. What PEFT writes has the head of the model class of `transformers`, which
    /// differs from architecture to architecture: nothing else would load there.
    pub(super) fn resolve(
        self,
        method: &Method,
        config: &TransformerConfig,
        kind: TaskKind,
        num_labels: usize,
        base: &OfBase,
    ) -> Result<Option<Head>, TrainingError> {
        if kind.writes() {
            let is_own = self == Self::default() && *method != Method::LastLayer;
            return if is_own { Ok(None) } else { Err(TrainingError::NoHeadOfItsOwn(kind)) };
        }
        let head = self.wanted(method, config, kind, num_labels, base)?;
        match head.pooling() {
            Some(Pooling::Pooler) if !base.has_pooler => Err(TrainingError::NoPooler),
            _ => Ok(Some(head)),
        }
    }

    fn wanted(
        self,
        method: &Method,
        config: &TransformerConfig,
        kind: TaskKind,
        num_labels: usize,
        base: &OfBase,
    ) -> Result<Head, TrainingError> {
        let architecture = config.architecture;
        if kind.reads_tokens() && self.pooling.is_some() {
            return Err(TrainingError::NoPooling(kind));
        }
        if self == Self::default() && native_format(method, architecture, &config.shape) == Format::Peft {
            let (vocab_size, hidden_size) = (config.shape.vocab_size, config.shape.hidden_size);
            let embedding_size = config.shape.table_width();
            let (projection, weighs_layers) = (config.encoder.head_projection, config.encoder.weighs_layers);
            let outputs = num_labels;
            let sizes =
                HeadSizes { outputs, vocab_size, hidden_size, embedding_size, projection, weighs_layers };
            let task = match kind {
                TaskKind::Embedding => return self.of_vectors(method, architecture, base),
                TaskKind::MultipleChoice
                | TaskKind::DependencyParsing
                | TaskKind::MaskedLm
                | TaskKind::CausalLm
                | TaskKind::Seq2SeqLm => {
                    return Err(TrainingError::NotSavedByPeft(kind));
                }
                TaskKind::Classification | TaskKind::MultiLabel | TaskKind::Regression => {
                    HeadTask::SequenceClassification
                }
                TaskKind::Tagging => HeadTask::TokenClassification,
                TaskKind::QuestionAnswering => HeadTask::QuestionAnswering,
            };
            let class = ModelClass::new(architecture, task);
            return Ok(match class.head_with_pooler(class.head(sizes, config.activation)) {
                Head::Classification(head) | Head::Regression(head) => of_sequences(kind, head),
                other => other,
            });
        }
        if kind == TaskKind::DependencyParsing && self.layers.is_some() {
            return Err(TrainingError::NoLayers(kind));
        }
        let layers = self.layers.unwrap_or(1);
        let pooling =
            || self.pooling.unwrap_or_else(|| default_pooling(method, architecture, base.has_pooler));
        Ok(match kind {
            TaskKind::Embedding => return self.of_vectors(method, architecture, base),
            TaskKind::MultipleChoice => {
                let flexible = MultipleChoiceHead::flexible(num_labels);
                Head::MultipleChoice(MultipleChoiceHead { layers, pooling: pooling(), ..flexible })
            }
            TaskKind::DependencyParsing => {
                Head::DependencyParsing(DependencyParsingHead::biaffine(num_labels))
            }
            TaskKind::Tagging => Head::Tagging(TaggingHead { layers, ..TaggingHead::single(num_labels) }),
            TaskKind::QuestionAnswering => {
                Head::QuestionAnswering(QuestionAnsweringHead { layers, ..QuestionAnsweringHead::single() })
            }
            // One layer more than others: the table.
            TaskKind::MaskedLm | TaskKind::CausalLm | TaskKind::Seq2SeqLm => {
                let (vocabulary, width) = (config.shape.vocab_size, config.shape.table_width());
                Head::MaskedLm(LanguageModelHead {
                    layers: layers + 1,
                    ..LanguageModelHead::masked(vocabulary, width)
                })
            }
            TaskKind::Classification | TaskKind::MultiLabel | TaskKind::Regression => {
                let flexible = ClassificationHead::flexible(num_labels);
                of_sequences(kind, ClassificationHead { layers, pooling: pooling(), ..flexible })
            }
        })
    }

    /// What gives a text its vector: by default what the base model's folder states, and else the mean of its tokens,
    /// which Reimers & Gurevych (2019) found best; in a decoder the last token, the only one that has seen all others.
    /// PEFT and `adapters` have neither.
    fn of_vectors(
        self,
        method: &Method,
        architecture: Architecture,
        base: &OfBase,
    ) -> Result<Head, TrainingError> {
        if self.layers.is_some() {
            return Err(TrainingError::NoLayers(TaskKind::Embedding));
        }
        if *method == Method::LastLayer {
            return Err(TrainingError::NothingInHead(TaskKind::Embedding));
        }
        let usual = if architecture.is_decoder() { Pooling::Last } else { Pooling::Mean };
        Ok(Head::Embedding(match (self.pooling, &base.vectors) {
            (Some(pooling), _) => EmbeddingHead::of(pooling),
            (None, Some(stated)) => stated.clone(),
            (None, None) => EmbeddingHead::of(usual),
        }))
    }
}

/// The head on whole sequences that a task of this kind has.
fn of_sequences(kind: TaskKind, head: ClassificationHead) -> Head {
    match kind {
        TaskKind::MultiLabel => Head::MultiLabelClassification(head),
        TaskKind::Regression => Head::Regression(head),
        _ => Head::Classification(head),
    }
}

fn default_pooling(method: &Method, architecture: Architecture, has_pooler: bool) -> Pooling {
    match method {
        // The head is trained on the frozen backbone, whose pooler served another task.
        Method::LastLayer | Method::Hadamard(_) => Pooling::Mean,
        _ if architecture.classifies_ends_of_texts() => Pooling::EndOfText,
        _ if architecture.is_decoder() => Pooling::Last,
        _ if architecture.reads_images() => Pooling::First,
        _ if architecture.reads_audio() || !has_pooler => Pooling::Mean,
        _ => Pooling::Pooler,
    }
}
