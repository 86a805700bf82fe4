//! The typed configuration of every prediction head.
//!
//! Field names and defaults are those of the `adapters` library, whose files we
//! read and write; the heads that `transformers` builds into its model classes are
//! special cases of the same types.

mod classification;
mod dependency_parsing;
mod embedding;
mod error;
mod language_model;
mod linear_stack;
mod multiple_choice;
mod question_answering;
mod tagging;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use classification::ClassificationHead;
pub use dependency_parsing::DependencyParsingHead;
pub use embedding::EmbeddingHead;
pub use error::HeadError;
pub use language_model::LanguageModelHead;
pub use linear_stack::LinearStack;
pub use multiple_choice::MultipleChoiceHead;
pub use question_answering::QuestionAnsweringHead;
pub use tagging::TaggingHead;

use error::{check_dropout, check_layers, check_outputs};

/// Which vector of a sequence a head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token's last hidden state.
    First,
    /// The backbone's pooler: `tanh(W · first + b)`, frozen.
    Pooler,
    /// The last hidden state of the last token that is not padding.
    Last,
    /// What `adapters` 1.3.0 takes for a decoder's last token: as many positions in as there are ids that are not the
    /// backbone's padding token, and the last position, be it padding, where it has none.
    LastCounted,
    /// The last position, be it padding: what `transformers` 4.57 takes where it is given embeddings and no ids, as behind
    /// PEFT's prompts.
    LastPosition,
    /// The decoder's last hidden state where the encoder's input has its last end of text: T5 and BART in `adapters`.
    EndOfText,
    /// The mean over the tokens that are not padding. Neither Python library has this for a classifier.
    Mean,
    /// The greatest number of each place of the vector among the tokens that are not padding, as in `sentence-transformers`.
    Max,
    /// The sum over the tokens that are not padding, divided by the root of their number, as in `sentence-transformers`.
    MeanSqrtLen,
    /// The mean over the tokens that are not padding, each weighted with its position from 1 (Muennighoff, "SGPT", 2022).
    WeightedMean,
    /// The first token's last hidden state beside the mean of all others, `[b, 2h]`: DINOv2's classifier.
    FirstAndMean,
    /// The mean over the tokens of what all layers give, their first input included, weighted as the base model's
    /// checkpoint says: Whisper's classifier with `use_weighted_layer_sum`.
    LayerMean,
}

impl Pooling {
    /// Width of the vector in multiples of the hidden size.
    pub const fn widths(self) -> usize {
        match self {
            Self::FirstAndMean => 2,
            Self::First
            | Self::Pooler
            | Self::Last
            | Self::LastCounted
            | Self::LastPosition
            | Self::EndOfText
            | Self::Mean
            | Self::Max
            | Self::MeanSqrtLen
            | Self::WeightedMean
            | Self::LayerMean => 1,
        }
    }
}

/// A prediction head with its configuration.
///
/// What each computes stands in `hub_client::heads`; the loss that each is trained
/// with stands at its variant. `b` sequences have `t` tokens each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Head {
    /// One class per sequence: scores `[b, labels]`. Loss: cross-entropy.
    Classification(ClassificationHead),
    /// Any number of classes per sequence: scores `[b, labels]`. Loss: binary cross-entropy with logits.
    MultiLabelClassification(ClassificationHead),
    /// Numbers per sequence: `[b, labels]`. Loss: mean squared error.
    Regression(ClassificationHead),
    /// One class per token: scores `[b, t, labels]`. Loss: cross-entropy over the tokens that are
    /// not padding and whose label is not −100.
    Tagging(TaggingHead),
    /// One of several continuations: scores `[b, choices]`. Loss: cross-entropy.
    MultipleChoice(MultipleChoiceHead),
    /// Where an answer starts and ends: scores `[b, t, 2]`. Loss: the mean of the two cross-entropies
    /// over positions; answers outside the input do not count.
    QuestionAnswering(QuestionAnsweringHead),
    /// Each word's head and relation: scores `[b, t, t + 1]` and `[b, t, t + 1, labels]`.
    /// Loss: the sum of both cross-entropies, the relation's at the true head.
    DependencyParsing(DependencyParsingHead),
    /// Every token from its surroundings: scores `[b, t, vocabulary]`. Loss: cross-entropy over the masked tokens.
    MaskedLm(LanguageModelHead),
    /// Every token from the one before: scores `[b, t, vocabulary]`. Loss: cross-entropy against the next token.
    CausalLm(LanguageModelHead),
    /// Every token of an answer to an input, behind encoder and decoder: scores `[b, t, vocabulary]`.
    /// Loss: cross-entropy; the decoder reads the answer one token further back.
    #[serde(rename = "seq2seq-lm")]
    Seq2SeqLm(LanguageModelHead),
    /// One vector per sequence: `[b, h]`. Loss: mean squared error between the cosine of two vectors and their score.
    Embedding(EmbeddingHead),
}

impl Head {
    /// The kind of head, as its `type` in a manifest.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Classification(_) => "classification",
            Self::MultiLabelClassification(_) => "multi-label-classification",
            Self::Regression(_) => "regression",
            Self::Tagging(_) => "tagging",
            Self::MultipleChoice(_) => "multiple-choice",
            Self::QuestionAnswering(_) => "question-answering",
            Self::DependencyParsing(_) => "dependency-parsing",
            Self::MaskedLm(_) => "masked-lm",
            Self::CausalLm(_) => "causal-lm",
            Self::Seq2SeqLm(_) => "seq2seq-lm",
            Self::Embedding(_) => "embedding",
        }
    }

    /// Number of outputs that have names; none where the outputs are a vocabulary or a vector.
    pub const fn num_labels(&self) -> usize {
        match self {
            Self::Classification(head) | Self::MultiLabelClassification(head) | Self::Regression(head) => {
                head.num_labels
            }
            Self::Tagging(head) => head.num_labels,
            Self::MultipleChoice(head) => head.num_choices,
            Self::QuestionAnswering(_) => 2,
            Self::DependencyParsing(head) => head.num_labels,
            Self::MaskedLm(_) | Self::CausalLm(_) | Self::Seq2SeqLm(_) | Self::Embedding(_) => 0,
        }
    }

    /// What scores a vocabulary, in a head that does.
    pub const fn language_model(&self) -> Option<&LanguageModelHead> {
        match self {
            Self::MaskedLm(head) | Self::CausalLm(head) | Self::Seq2SeqLm(head) => Some(head),
            _ => None,
        }
    }

    /// Whether the names of its outputs may be left out: choices and span ends are told apart by their place.
    const fn names_are_optional(&self) -> bool {
        matches!(self, Self::MultipleChoice(_) | Self::QuestionAnswering(_))
    }

    /// Whether it reads every token as the layer and the norm of the pooler give it.
    pub const fn is_behind_pooler(&self) -> bool {
        match self {
            Self::Tagging(head) => head.behind_pooler,
            Self::QuestionAnswering(head) => head.behind_pooler,
            _ => false,
        }
    }

    /// What the libraries call the outputs of a head whose user has not named them: `LABEL_0` and so on.
    pub fn default_labels(&self) -> Vec<String> {
        let named = if self.names_are_optional() { 0 } else { self.num_labels() };
        // The number may come from a file that nobody has checked yet.
        (0..named.min(error::MAX_LABELS)).map(|i| format!("LABEL_{i}")).collect()
    }

    /// Which vector of a sequence it reads; `None` where it reads every token.
    pub const fn pooling(&self) -> Option<Pooling> {
        match self {
            Self::Classification(head) | Self::MultiLabelClassification(head) | Self::Regression(head) => {
                Some(head.pooling)
            }
            Self::MultipleChoice(head) => Some(head.pooling),
            Self::Embedding(head) => Some(head.pooling),
            Self::Tagging(_)
            | Self::QuestionAnswering(_)
            | Self::DependencyParsing(_)
            | Self::MaskedLm(_)
            | Self::CausalLm(_)
            | Self::Seq2SeqLm(_) => None,
        }
    }

    /// The same head of a sequence on another vector; any other head as it is.
    #[must_use]
    pub const fn with_pooling(mut self, other: Pooling) -> Self {
        if let Self::Classification(ClassificationHead { pooling, .. })
        | Self::MultiLabelClassification(ClassificationHead { pooling, .. })
        | Self::Regression(ClassificationHead { pooling, .. })
        | Self::MultipleChoice(MultipleChoiceHead { pooling, .. }) = &mut self
        {
            *pooling = other;
        }
        self
    }

    /// Its linear layers, where it consists of nothing else.
    pub const fn linear_stack(&self) -> Option<LinearStack> {
        match self {
            Self::Classification(head) | Self::MultiLabelClassification(head) | Self::Regression(head) => {
                Some(head.stack())
            }
            Self::Tagging(head) => Some(head.stack()),
            Self::MultipleChoice(head) => Some(head.stack()),
            Self::QuestionAnswering(head) => Some(head.stack()),
            Self::DependencyParsing(_)
            | Self::MaskedLm(_)
            | Self::CausalLm(_)
            | Self::Seq2SeqLm(_)
            | Self::Embedding(_) => None,
        }
    }

    /// How many linear layers its classifier has, where it is one.
    pub fn classifier_layers(&self) -> Option<usize> {
        let is_classifier = !matches!(self, Self::QuestionAnswering(_));
        self.linear_stack().filter(|_| is_classifier).map(|stack| stack.layers)
    }

    /// Refuses a head that can't be; `labels` are the names of its outputs.
    pub fn validate(&self, labels: &[String]) -> Result<(), HeadError> {
        match self {
            Self::Classification(head) => check_outputs(self.kind(), head.num_labels, 2)?,
            Self::MaskedLm(head) | Self::CausalLm(head) | Self::Seq2SeqLm(head) => head.validate()?,
            Self::DependencyParsing(head) => {
                check_outputs(self.kind(), head.num_labels, 1)?;
                check_dropout(head.dropout)?;
            }
            Self::Embedding(head) => head.validate()?,
            other => check_outputs(other.kind(), other.num_labels(), 1)?,
        }
        if let Some(stack) = self.linear_stack() {
            check_layers(stack.layers)?;
            check_dropout(stack.dropout)?;
        }
        let unnamed = labels.is_empty() && self.names_are_optional();
        if unnamed || labels.len() == self.num_labels() {
            Ok(())
        } else {
            Err(HeadError::Names { names: labels.len(), labels: self.num_labels() })
        }
    }
}

/// Most configurations leave this out.
const fn yes() -> bool {
    true
}

/// Keeps what older versions wrote the same, byte for byte.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) const fn is_true(value: &bool) -> bool {
    *value
}

#[cfg(test)]
mod tests;
