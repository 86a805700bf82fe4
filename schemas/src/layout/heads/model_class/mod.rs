//! The heads that are part of a `transformers` model class.

mod names;

use std::{fmt, str::FromStr};

use super::Head;
use crate::{
    backbone::Architecture,
    head::{
        ClassificationHead, LanguageModelHead, MultipleChoiceHead, Pooling, QuestionAnsweringHead,
        TaggingHead,
    },
    method::Activation,
};

/// What a model class with a head predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeadTask {
    /// `…ForSequenceClassification`, `…ForImageClassification` or `…ForAudioClassification`
    SequenceClassification,
    /// `…ForTokenClassification`
    TokenClassification,
    /// `…ForQuestionAnswering`
    QuestionAnswering,
    /// `…ForMultipleChoice`
    MultipleChoice,
    /// `…ForMaskedLM`
    MaskedLm,
    /// `…LMHeadModel` or `…ForCausalLM`
    CausalLm,
    /// `…ForConditionalGeneration`
    Seq2SeqLm,
}

/// A `transformers` class with a head, such as `BertForTokenClassification`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModelClass {
    architecture: Architecture,
    task: HeadTask,
}

/// What decides the shapes of a model class's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadSizes {
    /// Classes or choices; of no importance to a language model.
    pub outputs: usize,
    /// Rows of the token embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the token embedding table.
    pub embedding_size: usize,
    /// Width of a projection in front of the last layer, where the class has one.
    pub projection: Option<usize>,
    /// Whether a classifier reads the weighted sum of all layers.
    pub weighs_layers: bool,
}

/// Not a class with a head that this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the class `{0}` has no head that this version knows")]
pub struct UnknownModelClass(pub String);

impl HeadTask {
    /// Every task.
    pub const ALL: [Self; 7] = [
        Self::SequenceClassification,
        Self::TokenClassification,
        Self::QuestionAnswering,
        Self::MultipleChoice,
        Self::MaskedLm,
        Self::CausalLm,
        Self::Seq2SeqLm,
    ];

    /// PEFT's word for the task, where it has one for a model with a head of this kind.
    pub const fn peft_task_type(self) -> Option<&'static str> {
        match self {
            Self::SequenceClassification => Some("SEQ_CLS"),
            Self::TokenClassification => Some("TOKEN_CLS"),
            Self::QuestionAnswering => Some("QUESTION_ANS"),
            Self::CausalLm => Some("CAUSAL_LM"),
            Self::Seq2SeqLm => Some("SEQ_2_SEQ_LM"),
            Self::MultipleChoice | Self::MaskedLm => None,
        }
    }

    /// The modules that PEFT saves beside the adapter for this task.
    pub const fn peft_modules(self) -> &'static [&'static str] {
        match self {
            Self::SequenceClassification | Self::TokenClassification => &["classifier", "score"],
            Self::QuestionAnswering => &["qa_outputs"],
            Self::CausalLm | Self::Seq2SeqLm => &["lm_head"],
            Self::MultipleChoice | Self::MaskedLm => &[],
        }
    }
}

/// The activation of a pooler that belongs to the classes with a head.
const fn pooler_outside(architecture: Architecture) -> Option<Activation> {
    match architecture {
        Architecture::DistilBert => Some(Activation::Relu),
        Architecture::DebertaV2 => Some(Activation::Gelu),
        _ => None,
    }
}

impl ModelClass {
    /// The class of `architecture` for a task.
    pub const fn new(architecture: Architecture, task: HeadTask) -> Self {
        Self { architecture, task }
    }

    /// The class of `architecture` whose head computes what `head` does, if there is one.
    pub fn with_head(architecture: Architecture, head: &Head) -> Option<Self> {
        let task = match head {
            Head::Classification(_) | Head::MultiLabelClassification(_) | Head::Regression(_) => {
                HeadTask::SequenceClassification
            }
            Head::Tagging(_) => HeadTask::TokenClassification,
            Head::QuestionAnswering(_) => HeadTask::QuestionAnswering,
            Head::MultipleChoice(_) => HeadTask::MultipleChoice,
            Head::MaskedLm(_) => HeadTask::MaskedLm,
            Head::CausalLm(_) => HeadTask::CausalLm,
            Head::Seq2SeqLm(_) => HeadTask::Seq2SeqLm,
            Head::DependencyParsing(_) | Head::Embedding(_) => return None,
        };
        let class = Self::new(architecture, task);
        class.computes(head).then_some(class)
    }

    /// Whether its language model's head has the backbone's own activation, which files of the head
    /// do not say.
    pub const fn uses_hidden_act(self) -> bool {
        matches!(
            self.architecture,
            Architecture::Bert
                | Architecture::DistilBert
                | Architecture::Albert
                | Architecture::DebertaV2
                | Architecture::ModernBert
        )
    }

    /// Of which architecture it is.
    pub const fn architecture(self) -> Architecture {
        self.architecture
    }

    /// What its head predicts.
    pub const fn task(self) -> HeadTask {
        self.task
    }

    /// Whether its head is a language model's that writes: what adapters leave as it is.
    pub const fn writes(self) -> bool {
        matches!(self.task, HeadTask::CausalLm | HeadTask::Seq2SeqLm)
    }

    /// Whether the backbone is a module of its own in it: the parts of some of T5's own classes stand beside the head.
    pub const fn holds_backbone(self) -> bool {
        let is_beside = matches!(self.task, HeadTask::Seq2SeqLm | HeadTask::QuestionAnswering);
        !(self.architecture.has_distances() && is_beside)
    }

    /// Whether `adapters` saves the whole model for its head: the names that its loader leaves out
    /// (`PredictionHeadLoader.filter_func` of 1.3.0) are not those that the class's backbone has.
    pub const fn is_saved_whole(self) -> bool {
        match self.task {
            HeadTask::SequenceClassification => {
                self.architecture.has_distances() || matches!(self.architecture, Architecture::Whisper)
            }
            HeadTask::TokenClassification => self.architecture.has_distances(),
            _ => false,
        }
    }

    /// What the class calls its backbone, where that is not what the others of its architecture do.
    pub const fn backbone_name(self) -> Option<&'static str> {
        match (self.task, self.architecture) {
            (
                HeadTask::QuestionAnswering,
                Architecture::Llama | Architecture::Qwen2 | Architecture::Qwen3,
            ) => Some("transformer"),
            _ => None,
        }
    }

    /// The head of this class in these sizes. `hidden_act` is the backbone's own
    /// activation, which BERT's language models use too.
    pub fn head(self, sizes: HeadSizes, hidden_act: Activation) -> Head {
        let HeadSizes { outputs, vocab_size, embedding_size, projection, weighs_layers, .. } = sizes;
        let language_model = |config: LanguageModelHead| LanguageModelHead {
            activation: if self.uses_hidden_act() { Some(hidden_act) } else { config.activation },
            ..config
        };
        let head = match self.task {
            HeadTask::SequenceClassification if outputs == 1 => {
                Head::Regression(self.classification(outputs, projection))
            }
            HeadTask::SequenceClassification => {
                Head::Classification(self.classification(outputs, projection))
            }
            HeadTask::TokenClassification => {
                let behind_pooler = self.pools_every_token();
                Head::Tagging(TaggingHead { behind_pooler, ..TaggingHead::single(outputs) })
            }
            HeadTask::QuestionAnswering => {
                let behind_pooler = self.pools_every_token();
                Head::QuestionAnswering(QuestionAnsweringHead {
                    behind_pooler,
                    ..QuestionAnsweringHead::single()
                })
            }
            HeadTask::MultipleChoice => Head::MultipleChoice(MultipleChoiceHead::pooled(outputs)),
            HeadTask::MaskedLm => {
                Head::MaskedLm(language_model(LanguageModelHead::masked(vocab_size, embedding_size)))
            }
            HeadTask::CausalLm if self.is_decoder() => {
                Head::CausalLm(LanguageModelHead::table(vocab_size, embedding_size))
            }
            HeadTask::CausalLm => {
                Head::CausalLm(language_model(LanguageModelHead::causal(vocab_size, embedding_size)))
            }
            HeadTask::Seq2SeqLm => {
                let bias = self.architecture.is_bart();
                Head::Seq2SeqLm(LanguageModelHead::seq2seq(vocab_size, embedding_size, bias))
            }
        };
        if weighs_layers { head.with_pooling(Pooling::LayerMean) } else { head }
    }

    /// The name of the tensor whose first dimension is the number of outputs; the table of
    /// a language model.
    pub fn output_weight(self) -> String {
        let last = match (self.task, self.architecture) {
            (
                HeadTask::SequenceClassification,
                Architecture::Roberta
                | Architecture::XlmRoberta
                | Architecture::Electra
                | Architecture::Whisper,
            ) => "1.weight",
            (HeadTask::SequenceClassification, _) if self.architecture.classifies_ends_of_texts() => {
                "1.weight"
            }
            (HeadTask::MaskedLm | HeadTask::CausalLm | HeadTask::Seq2SeqLm, _) => "decoder.weight",
            _ => "0.weight",
        };
        self.names(last).0
    }

    /// The same head with the pooler as its first layer, where the class has the pooler and not the
    /// backbone: what a file of its own holds.
    pub fn head_with_pooler(self, head: Head) -> Head {
        let Some(activation) = pooler_outside(self.architecture) else { return head };
        let with = |config: ClassificationHead| ClassificationHead {
            layers: 2,
            activation: Some(activation),
            pooling: Pooling::First,
            ..config
        };
        match head {
            Head::Classification(config) => Head::Classification(with(config)),
            Head::MultiLabelClassification(config) => Head::MultiLabelClassification(with(config)),
            Head::Regression(config) => Head::Regression(with(config)),
            Head::MultipleChoice(config) => Head::MultipleChoice(MultipleChoiceHead {
                layers: 2,
                activation: Some(activation),
                pooling: Pooling::First,
                ..config
            }),
            other => other,
        }
    }

    /// The module that PEFT saves for a head beside those of its task: the pooler of the class, where
    /// the head has a copy of it, its projection, or a head that the library knows by no name.
    pub fn peft_module(self, head: &Head) -> Option<&'static str> {
        if self.architecture.classifies_ends_of_texts() {
            return (self.task == HeadTask::SequenceClassification).then_some("classification_head");
        }
        if self.architecture == Architecture::Whisper {
            return Some(if self.task == HeadTask::Seq2SeqLm { "proj_out" } else { "projector" });
        }
        pooler_outside(self.architecture)?;
        let is_stack = head.linear_stack().is_some_and(|stack| stack.layers == 2);
        is_stack.then(|| self.pooler_path().split('.').next().unwrap_or_default())
    }

    /// Where a pooler is that belongs to the classes with a head.
    const fn pooler_path(self) -> &'static str {
        match self.architecture {
            Architecture::DistilBert => "pre_classifier",
            _ => "pooler.dense",
        }
    }

    const fn classification(self, num_labels: usize, projection: Option<usize>) -> ClassificationHead {
        match self.architecture {
            Architecture::Electra => ClassificationHead {
                activation: Some(Activation::Gelu),
                ..ClassificationHead::flexible(num_labels)
            },
            Architecture::Roberta | Architecture::XlmRoberta => ClassificationHead::flexible(num_labels),
            _ if self.architecture.classifies_ends_of_texts() => {
                ClassificationHead { pooling: Pooling::EndOfText, ..ClassificationHead::flexible(num_labels) }
            }
            Architecture::Whisper => ClassificationHead::projected(num_labels, projection),
            Architecture::Vit => ClassificationHead::first(num_labels),
            Architecture::Dinov2 => ClassificationHead::first_and_mean(num_labels),
            decoder if decoder.is_decoder() => ClassificationHead::last(num_labels),
            _ => ClassificationHead::pooled(num_labels),
        }
    }

    /// Whether PEFT saves the head beside an adapter: of its own accord for the tasks whose modules
    /// it knows, and as `modules_to_save` where a language model's head is one module.
    pub const fn is_saved_by_peft(self) -> bool {
        match self.task {
            HeadTask::CausalLm => self.is_decoder(),
            HeadTask::Seq2SeqLm => self.architecture.is_encoder_decoder(),
            task => task.peft_task_type().is_some(),
        }
    }

    /// Whether its heads on tokens read each of them through the layer of the pooler.
    const fn pools_every_token(self) -> bool {
        matches!(self.architecture, Architecture::ModernBert)
    }

    /// Whether the language model is nothing but a table behind the last norm.
    const fn is_decoder(self) -> bool {
        self.architecture.is_decoder()
    }

    /// Whether `head` computes what this class's own head computes.
    fn computes(self, head: &Head) -> bool {
        match head {
            Head::Classification(config)
            | Head::MultiLabelClassification(config)
            | Head::Regression(config) => {
                let own = self.classification(config.num_labels, config.width);
                let same = |own: &ClassificationHead| {
                    let is_sum =
                        self.architecture == Architecture::Whisper && config.pooling == Pooling::LayerMean;
                    let is_last = (config.pooling, own.pooling) == (Pooling::LastPosition, Pooling::Last);
                    (config.pooling == own.pooling || is_sum || is_last)
                        && config.stack().same_in_inference(&own.stack())
                };
                let with_pooler = match self.head_with_pooler(Head::Classification(own.clone())) {
                    Head::Classification(config) => config,
                    _ => own.clone(),
                };
                same(&own) || same(&with_pooler)
            }
            Head::MultipleChoice(config) => {
                let own = Head::MultipleChoice(MultipleChoiceHead::pooled(config.num_choices));
                let same = |own: &Head| {
                    let stacks = (own.linear_stack(), head.linear_stack());
                    own.pooling() == head.pooling()
                        && matches!(stacks, (Some(own), Some(stack)) if stack.same_in_inference(&own))
                };
                same(&own) || same(&self.head_with_pooler(own))
            }
            Head::Tagging(config) => config.layers == 1 && config.behind_pooler == self.pools_every_token(),
            Head::QuestionAnswering(config) => {
                config.layers == 1
                    && !config.scaled_as_words
                    && config.behind_pooler == self.pools_every_token()
            }
            Head::CausalLm(config) if self.is_decoder() => {
                (config.layers, config.layer_norm, config.bias) == (1, false, false)
            }
            Head::Seq2SeqLm(config) => {
                let bias = self.architecture.is_bart();
                self.architecture.is_encoder_decoder()
                    && (config.layers, config.layer_norm, config.bias) == (1, false, bias)
            }
            Head::MaskedLm(config) | Head::CausalLm(config) => {
                let may_lack_bias = self.architecture == Architecture::ModernBert;
                (config.layers, config.layer_norm) == (2, true)
                    && (config.bias || may_lack_bias)
                    && config.activation == Some(Activation::Gelu)
            }
            Head::DependencyParsing(_) | Head::Embedding(_) => false,
        }
    }
}

impl fmt::Display for ModelClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match (self.task, self.architecture) {
            (HeadTask::SequenceClassification, images) if images.reads_images() => "ForImageClassification",
            (HeadTask::SequenceClassification, audio) if audio.reads_audio() => "ForAudioClassification",
            (HeadTask::SequenceClassification, _) => "ForSequenceClassification",
            (HeadTask::TokenClassification, _) => "ForTokenClassification",
            (HeadTask::QuestionAnswering, _) => "ForQuestionAnswering",
            (HeadTask::MultipleChoice, _) => "ForMultipleChoice",
            (HeadTask::MaskedLm, _) => "ForMaskedLM",
            (HeadTask::CausalLm, Architecture::Bert | Architecture::Gpt2) => "LMHeadModel",
            (HeadTask::CausalLm, _) => "ForCausalLM",
            (HeadTask::Seq2SeqLm, _) => "ForConditionalGeneration",
        };
        f.pad(&format!("{}{suffix}", self.architecture.class_prefix()))
    }
}

impl FromStr for ModelClass {
    type Err = UnknownModelClass;
    fn from_str(text: &str) -> Result<Self, UnknownModelClass> {
        let all = Architecture::ALL
            .into_iter()
            .flat_map(|architecture| HeadTask::ALL.map(|task| Self { architecture, task }));
        all.into_iter()
            .find(|class| class.to_string() == text)
            .ok_or_else(|| UnknownModelClass(text.to_owned()))
    }
}
