//! How good predictions are: pure functions, each beside its definition.
//!
//! Every one is compared with the Python library that people report it with, on the same
//! predictions (`tests/tests/parity/metrics.rs`).

mod answers;
mod attachment;
mod bleu;
mod confusion;
mod correlation;
mod counts;
mod entities;
mod metric;
mod rouge;
mod word_errors;

pub use answers::{answer_f1, exact_match, normalised};
pub use attachment::{Attached, Attachment};
pub use bleu::bleu;
pub use confusion::Confusion;
pub use correlation::{pearson, spearman};
pub use counts::Counts;
pub use entities::{Entity, are_entities, entities, entity_counts};
pub use metric::{LabelCounts, Metric, Scores, UnknownMetric};
pub use rouge::Rouge;
pub use word_errors::WordErrors;
