//! The heads that are part of a `transformers` model class, and the names of their tensors.

use std::{fmt, str::FromStr};

use super::{DECODER, Head, TensorSpec, head_slots, spec};
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
    /// `…ForSequenceClassification`, or `…ForImageClassification`
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
}

/// Which spelling of the names a family of classes has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Family {
    Bert,
    Roberta,
    XlmRoberta,
    Gpt2,
    Llama,
    Mistral,
    Vit,
    Dinov2,
}

/// A `transformers` class with a head, such as `BertForTokenClassification`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModelClass {
    family: Family,
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
}

/// Not a class with a head that this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the class `{0}` has no head that this version knows")]
pub struct UnknownModelClass(pub String);

impl HeadTask {
    /// Every task.
    pub const ALL: [Self; 6] = [
        Self::SequenceClassification,
        Self::TokenClassification,
        Self::QuestionAnswering,
        Self::MultipleChoice,
        Self::MaskedLm,
        Self::CausalLm,
    ];

    /// PEFT's word for the task, where it has one for a model with a head of this kind.
    pub const fn peft_task_type(self) -> Option<&'static str> {
        match self {
            Self::SequenceClassification => Some("SEQ_CLS"),
            Self::TokenClassification => Some("TOKEN_CLS"),
            Self::QuestionAnswering => Some("QUESTION_ANS"),
            Self::CausalLm => Some("CAUSAL_LM"),
            Self::MultipleChoice | Self::MaskedLm => None,
        }
    }

    /// The modules that PEFT saves beside the adapter for this task.
    pub const fn peft_modules(self) -> &'static [&'static str] {
        match self {
            Self::SequenceClassification | Self::TokenClassification => &["classifier", "score"],
            Self::QuestionAnswering => &["qa_outputs"],
            Self::CausalLm => &["lm_head"],
            Self::MultipleChoice | Self::MaskedLm => &[],
        }
    }
}

impl Family {
    const ALL: [Self; 8] = [
        Self::Bert,
        Self::Roberta,
        Self::XlmRoberta,
        Self::Gpt2,
        Self::Llama,
        Self::Mistral,
        Self::Vit,
        Self::Dinov2,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Bert => "Bert",
            Self::Roberta => "Roberta",
            Self::XlmRoberta => "XLMRoberta",
            Self::Gpt2 => "GPT2",
            Self::Llama => "Llama",
            Self::Mistral => "Mistral",
            Self::Vit => "ViT",
            Self::Dinov2 => "Dinov2",
        }
    }

    const fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Bert => Self::Bert,
            Architecture::Roberta => Self::Roberta,
            Architecture::XlmRoberta => Self::XlmRoberta,
            Architecture::Gpt2 => Self::Gpt2,
            Architecture::Llama => Self::Llama,
            Architecture::Mistral => Self::Mistral,
            Architecture::Vit => Self::Vit,
            Architecture::Dinov2 => Self::Dinov2,
        }
    }
}

impl ModelClass {
    /// The class of `architecture` for a task.
    pub const fn new(architecture: Architecture, task: HeadTask) -> Self {
        Self { family: Family::of(architecture), task }
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
            Head::DependencyParsing(_) | Head::Embedding(_) => return None,
        };
        let class = Self::new(architecture, task);
        class.computes(head).then_some(class)
    }

    /// What its head predicts.
    pub const fn task(self) -> HeadTask {
        self.task
    }

    /// The head of this class in these sizes. `hidden_act` is the backbone's own
    /// activation, which BERT's language models use too.
    pub fn head(self, sizes: HeadSizes, hidden_act: Activation) -> Head {
        let HeadSizes { outputs, vocab_size, hidden_size } = sizes;
        let language_model = |config: LanguageModelHead| LanguageModelHead {
            activation: if self.family == Family::Bert { Some(hidden_act) } else { config.activation },
            ..config
        };
        match self.task {
            HeadTask::SequenceClassification if outputs == 1 => {
                Head::Regression(self.classification(outputs))
            }
            HeadTask::SequenceClassification => Head::Classification(self.classification(outputs)),
            HeadTask::TokenClassification => Head::Tagging(TaggingHead::single(outputs)),
            HeadTask::QuestionAnswering => Head::QuestionAnswering(QuestionAnsweringHead::single()),
            HeadTask::MultipleChoice => Head::MultipleChoice(MultipleChoiceHead::pooled(outputs)),
            HeadTask::MaskedLm => {
                Head::MaskedLm(language_model(LanguageModelHead::masked(vocab_size, hidden_size)))
            }
            HeadTask::CausalLm if self.is_decoder() => {
                Head::CausalLm(LanguageModelHead::table(vocab_size, hidden_size))
            }
            HeadTask::CausalLm => {
                Head::CausalLm(language_model(LanguageModelHead::causal(vocab_size, hidden_size)))
            }
        }
    }

    /// The name of the tensor whose first dimension is the number of outputs; the table of
    /// a language model.
    pub fn output_weight(self) -> String {
        let last = match (self.task, self.family) {
            (HeadTask::SequenceClassification, Family::Roberta | Family::XlmRoberta) => "1.weight",
            (HeadTask::MaskedLm | HeadTask::CausalLm, _) => "decoder.weight",
            _ => "0.weight",
        };
        self.names(last).0
    }

    const fn classification(self, num_labels: usize) -> ClassificationHead {
        match self.family {
            Family::Bert => ClassificationHead::pooled(num_labels),
            Family::Roberta | Family::XlmRoberta => ClassificationHead::flexible(num_labels),
            Family::Gpt2 | Family::Llama | Family::Mistral => ClassificationHead::last(num_labels),
            Family::Vit => ClassificationHead::first(num_labels),
            Family::Dinov2 => ClassificationHead::first_and_mean(num_labels),
        }
    }

    /// Whether PEFT saves the head beside an adapter: of its own accord for the tasks whose modules
    /// it knows, and as `modules_to_save` where a language model's head is one module.
    pub const fn is_saved_by_peft(self) -> bool {
        match self.task {
            HeadTask::CausalLm => self.is_decoder(),
            task => task.peft_task_type().is_some(),
        }
    }

    /// Whether the language model is nothing but a table behind the last norm.
    const fn is_decoder(self) -> bool {
        matches!(self.family, Family::Gpt2 | Family::Llama | Family::Mistral)
    }

    /// Whether `head` computes what this class's own head computes.
    fn computes(self, head: &Head) -> bool {
        match head {
            Head::Classification(config)
            | Head::MultiLabelClassification(config)
            | Head::Regression(config) => {
                let own = self.classification(config.num_labels);
                config.pooling == own.pooling && config.stack().same_in_inference(&own.stack())
            }
            Head::MultipleChoice(config) => config.layers == 1 && config.pooling == Pooling::Pooler,
            Head::Tagging(config) => config.layers == 1,
            Head::QuestionAnswering(config) => config.layers == 1,
            Head::CausalLm(config) if self.is_decoder() => {
                (config.layers, config.layer_norm, config.bias) == (1, false, false)
            }
            Head::MaskedLm(config) | Head::CausalLm(config) => {
                (config.layers, config.layer_norm, config.bias) == (2, true, true)
                    && config.activation == Some(Activation::Gelu)
            }
            Head::DependencyParsing(_) | Head::Embedding(_) => false,
        }
    }

    /// The tensors of `head`, which must be this class's own, by their names in a checkpoint.
    ///
    /// An alias is another name under which a checkpoint may hold the tensor instead.
    pub fn tensors(self, head: &Head, hidden_size: usize) -> Vec<TensorSpec> {
        let slots = head_slots(head, hidden_size);
        let named = slots.iter().map(|slot| {
            let (disk, alias) = self.names(slot.name.trim_start_matches("head."));
            let mut spec = spec(disk, slot);
            spec.aliases.extend(alias);
            spec
        });
        named.collect()
    }

    /// The name of a part of the head, and an older one.
    fn names(self, part: &str) -> (String, Option<String>) {
        let (module, rest) = part.split_once('.').unwrap_or((part, ""));
        let plain = |path: &str| (format!("{path}.{rest}"), None);
        match (self.task, self.family, module) {
            (HeadTask::CausalLm, Family::Gpt2 | Family::Llama | Family::Mistral, _) => plain("lm_head"),
            (HeadTask::SequenceClassification, Family::Gpt2 | Family::Llama | Family::Mistral, _)
            | (HeadTask::TokenClassification, Family::Llama | Family::Mistral, _) => plain("score"),
            (HeadTask::MaskedLm | HeadTask::CausalLm, family, _) => language_model_names(family, part),
            (HeadTask::QuestionAnswering, ..) => plain("qa_outputs"),
            (HeadTask::SequenceClassification, Family::Roberta | Family::XlmRoberta, "0") => {
                plain("classifier.dense")
            }
            (HeadTask::SequenceClassification, Family::Roberta | Family::XlmRoberta, _) => {
                plain("classifier.out_proj")
            }
            _ => plain("classifier"),
        }
    }
}

/// The bias exists twice as an object and once as a tensor; norms converted from
/// TensorFlow are called `gamma` and `beta`.
fn language_model_names(family: Family, part: &str) -> (String, Option<String>) {
    let (root, transform, norm) = match family {
        Family::Bert => ("cls.predictions", "cls.predictions.transform", "LayerNorm"),
        _ => ("lm_head", "lm_head", "layer_norm"),
    };
    match part {
        "decoder.bias" => (format!("{root}.bias"), Some(format!("{root}.decoder.bias"))),
        "0.norm.weight" => (format!("{transform}.{norm}.weight"), Some(format!("{transform}.{norm}.gamma"))),
        "0.norm.bias" => (format!("{transform}.{norm}.bias"), Some(format!("{transform}.{norm}.beta"))),
        _ if format!("head.{part}") == DECODER => (format!("{root}.decoder.weight"), None),
        _ => (format!("{transform}.dense.{}", part.trim_start_matches("0.")), None),
    }
}

impl fmt::Display for ModelClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match (self.task, self.family) {
            (HeadTask::SequenceClassification, Family::Vit | Family::Dinov2) => "ForImageClassification",
            (HeadTask::SequenceClassification, _) => "ForSequenceClassification",
            (HeadTask::TokenClassification, _) => "ForTokenClassification",
            (HeadTask::QuestionAnswering, _) => "ForQuestionAnswering",
            (HeadTask::MultipleChoice, _) => "ForMultipleChoice",
            (HeadTask::MaskedLm, _) => "ForMaskedLM",
            (HeadTask::CausalLm, Family::Bert | Family::Gpt2) => "LMHeadModel",
            (HeadTask::CausalLm, _) => "ForCausalLM",
        };
        f.pad(&format!("{}{suffix}", self.family.word()))
    }
}

impl FromStr for ModelClass {
    type Err = UnknownModelClass;
    fn from_str(text: &str) -> Result<Self, UnknownModelClass> {
        let all = Family::ALL.into_iter().flat_map(|family| HeadTask::ALL.map(|task| Self { family, task }));
        all.into_iter()
            .find(|class| class.to_string() == text)
            .ok_or_else(|| UnknownModelClass(text.to_owned()))
    }
}
