//! The names of metrics, and a set of measurements.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Confusion, Counts};

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of right predictions.
    Accuracy,
    /// F1 averaged over the labels: every label counts the same, however rare.
    MacroF1,
    /// F1 over all labels together.
    MicroF1,
    /// Matthews' correlation coefficient.
    Mcc,
    /// Share of the entities predicted that are right.
    EntityPrecision,
    /// Share of the entities that are found.
    EntityRecall,
    /// F1 of entities.
    EntityF1,
    /// Share of the words with the right head and the right relation to it.
    Las,
    /// Share of the words with the right head.
    Uas,
    /// Pearson's correlation.
    Pearson,
    /// Spearman's correlation.
    Spearman,
    /// The mean of the squared differences.
    MeanSquaredError,
    /// Share of the answers that are exactly right.
    ExactMatch,
    /// F1 of the words of answers.
    AnswerF1,
    /// Words of transcripts that are wrong, for each that is right.
    WordErrorRate,
    /// The same of lower-cased words without punctuation.
    PlainWordErrorRate,
    /// F1 of the words of generated texts.
    #[serde(rename = "rouge_1")]
    Rouge1,
    /// F1 of their pairs of words.
    #[serde(rename = "rouge_2")]
    Rouge2,
    /// F1 of the longest common subsequence of words.
    RougeL,
    /// Precision of the n-grams of generated texts, from 0 to 100.
    Bleu,
    /// The exponential of the mean cross-entropy.
    Perplexity,
    /// The mean loss.
    Loss,
}

/// A word that names no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no metric; there are: {list}", list = names())]
pub struct UnknownMetric(pub String);

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 22] = [
        Self::Accuracy,
        Self::MacroF1,
        Self::MicroF1,
        Self::Mcc,
        Self::EntityPrecision,
        Self::EntityRecall,
        Self::EntityF1,
        Self::Las,
        Self::Uas,
        Self::Pearson,
        Self::Spearman,
        Self::MeanSquaredError,
        Self::ExactMatch,
        Self::AnswerF1,
        Self::WordErrorRate,
        Self::PlainWordErrorRate,
        Self::Rouge1,
        Self::Rouge2,
        Self::RougeL,
        Self::Bleu,
        Self::Perplexity,
        Self::Loss,
    ];

    /// Its name in manifests and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MacroF1 => "macro_f1",
            Self::MicroF1 => "micro_f1",
            Self::Mcc => "mcc",
            Self::EntityPrecision => "entity_precision",
            Self::EntityRecall => "entity_recall",
            Self::EntityF1 => "entity_f1",
            Self::Las => "las",
            Self::Uas => "uas",
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
            Self::MeanSquaredError => "mean_squared_error",
            Self::ExactMatch => "exact_match",
            Self::AnswerF1 => "answer_f1",
            Self::WordErrorRate => "word_error_rate",
            Self::PlainWordErrorRate => "plain_word_error_rate",
            Self::Rouge1 => "rouge_1",
            Self::Rouge2 => "rouge_2",
            Self::RougeL => "rouge_l",
            Self::Bleu => "bleu",
            Self::Perplexity => "perplexity",
            Self::Loss => "loss",
        }
    }

    /// Its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MacroF1 => "macro F1",
            Self::MicroF1 => "micro F1",
            Self::Mcc => "MCC",
            Self::EntityPrecision => "entity precision",
            Self::EntityRecall => "entity recall",
            Self::EntityF1 => "entity F1",
            Self::Las => "LAS",
            Self::Uas => "UAS",
            Self::Pearson => "Pearson",
            Self::Spearman => "Spearman",
            Self::MeanSquaredError => "mean squared error",
            Self::ExactMatch => "exact match",
            Self::AnswerF1 => "answer F1",
            Self::WordErrorRate => "word error rate",
            Self::PlainWordErrorRate => "plain word error rate",
            Self::Rouge1 => "ROUGE-1",
            Self::Rouge2 => "ROUGE-2",
            Self::RougeL => "ROUGE-L",
            Self::Bleu => "BLEU",
            Self::Perplexity => "perplexity",
            Self::Loss => "loss",
        }
    }

    /// Whether more of it is worse.
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::MeanSquaredError
                | Self::WordErrorRate
                | Self::PlainWordErrorRate
                | Self::Perplexity
                | Self::Loss
        )
    }
}

fn names() -> String {
    Metric::ALL.map(Metric::as_str).join(", ")
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;
    fn from_str(text: &str) -> Result<Self, UnknownMetric> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|m| m.as_str() == name).ok_or_else(|| UnknownMetric(text.to_owned()))
    }
}

/// How often one label was right, predicted and true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCounts {
    /// The label, or the type of entity.
    pub label: String,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What was measured on a set of examples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Examples measured.
    pub examples: u64,
    /// Each metric with its value; the most telling first.
    #[serde(with = "bits")]
    pub values: Vec<(Metric, f64)>,
    /// By label, where there are labels.
    pub labels: Vec<LabelCounts>,
    /// What was taken for what, where every example has one label.
    pub confusion: Option<Confusion>,
}

impl Scores {
    /// The value of a metric, where it was measured.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.values.iter().find(|(name, _)| *name == metric).map(|(_, value)| *value)
    }

    /// `accuracy 0.9100, macro F1 0.9050`.
    pub fn summary(&self) -> String {
        let values = self.values.iter().map(|(metric, value)| format!("{} {value:.4}", metric.title()));
        values.collect::<Vec<_>>().join(", ")
    }
}

/// Numbers that come back bit for bit, as JSON's decimals might not.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Metric;

    pub(super) fn serialize<S: Serializer>(values: &[(Metric, f64)], s: S) -> Result<S::Ok, S::Error> {
        values.iter().map(|(metric, value)| (*metric, value.to_bits())).collect::<Vec<_>>().serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<(Metric, f64)>, D::Error> {
        let values = Vec::<(Metric, u64)>::deserialize(d)?;
        Ok(values.into_iter().map(|(metric, bits)| (metric, f64::from_bits(bits))).collect())
    }
}
