//! What models answer, task by task.

/// The answer to one example.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Predicted {
    /// One label.
    Label(LabelPrediction),
    /// Every label with its probability.
    Labels {
        /// Those that are more probable than not, in the adapter's order.
        labels: Vec<String>,
        /// All of them, in the adapter's order.
        probabilities: Vec<LabelShare>,
        /// Their scores.
        logits: Vec<f32>,
    },
    /// A number.
    Number {
        /// The number.
        value: f32,
    },
    /// The vector of a text, or those of two.
    Embedding(EmbeddingPrediction),
    /// A tag for every word; `None` for words that the model did not read.
    Tags {
        /// The tags, in the order of the words.
        tags: Vec<Option<LabelShare>>,
    },
    /// A head for every word, and its relation to it; `None` for words that the model did not read.
    Tree {
        /// The heads, in the order of the words.
        words: Vec<Option<ArcPrediction>>,
    },
    /// One of several choices.
    Choice(ChoicePrediction),
    /// A part of a passage.
    Span(SpanPrediction),
    /// Suggestions for every mask in a text, the most probable first.
    Masks {
        /// One list for each mask.
        masks: Vec<Vec<LabelShare>>,
    },
    /// How well hidden tokens were found.
    Tokens {
        /// The sum of their cross-entropies.
        loss: f64,
        /// How many were the most probable ones.
        right: u64,
        /// How many there were.
        count: u64,
    },
}

/// The most probable label.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LabelPrediction {
    /// The label.
    pub label: String,
    /// Its probability.
    pub probability: f64,
    /// The score of every label, in the adapter's order.
    pub logits: Vec<f32>,
}

/// The vector of a text, or those of two and how alike they are.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct EmbeddingPrediction {
    /// The cosine of the angle between the vectors of two texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
    /// The vector of the text, or of the first.
    pub embedding: Vec<f32>,
    /// The vector of the second text, where there are two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair_embedding: Option<Vec<f32>>,
}

/// A label with its probability.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LabelShare {
    /// The label.
    pub label: String,
    /// Its probability.
    pub probability: f64,
}

/// Where a word hangs in the best tree.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ArcPrediction {
    /// The number of its head, from 1; 0 for the root.
    pub head: usize,
    /// Its relation to it.
    pub relation: String,
    /// The probability of the head, times that of the relation to it.
    pub probability: f64,
}

/// The most probable choice.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ChoicePrediction {
    /// Its number, from 0.
    pub choice: usize,
    /// Its text.
    pub text: String,
    /// Its probability.
    pub probability: f64,
    /// The score of every choice, in their order.
    pub logits: Vec<f32>,
}

/// The best part of a passage.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SpanPrediction {
    /// Its text; empty where the passage has no token.
    pub text: String,
    /// Its first character in the passage, from 0.
    pub start: usize,
    /// The sum of the scores of its two ends.
    pub score: f32,
    /// The product of the probabilities of its two ends, in the window of the passage where it stands.
    pub probability: f64,
    /// The score that nothing in the passage answers the question: the least over its windows.
    pub no_answer_score: f32,
}

impl SpanPrediction {
    /// Whether the model holds that the passage answers the question.
    pub fn is_answer(&self) -> bool {
        self.score >= self.no_answer_score && !self.text.is_empty()
    }
}

impl Predicted {
    /// Whether every number in it is one.
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Label(label) => label.logits.iter().all(|score| score.is_finite()),
            Self::Labels { logits, .. } => logits.iter().all(|score| score.is_finite()),
            Self::Number { value } => value.is_finite(),
            Self::Embedding(found) => {
                let pair = found.pair_embedding.iter().flatten();
                found.embedding.iter().chain(pair).all(|number| number.is_finite())
            }
            Self::Tags { tags } => tags.iter().flatten().all(|tag| tag.probability.is_finite()),
            Self::Tree { words } => words.iter().flatten().all(|arc| arc.probability.is_finite()),
            Self::Choice(choice) => choice.logits.iter().all(|score| score.is_finite()),
            Self::Span(span) => span.text.is_empty() || span.score.is_finite(),
            Self::Masks { masks } => masks.iter().flatten().all(|token| token.probability.is_finite()),
            Self::Tokens { loss, .. } => loss.is_finite(),
        }
    }
}
