//! BERT's module paths, as `transformers` names them.

use super::{LinearSite, SubLayer};

pub(super) const MODEL_PREFIX: &str = "bert";
pub(super) const CLASSIFIER: &str = "classifier";
pub(super) const OTHER_LINEARS: &[&str] = &["pooler.dense"];

pub(super) fn linear_path(layer: usize, site: LinearSite) -> String {
    let module = match site {
        LinearSite::Query => "attention.self.query",
        LinearSite::Key => "attention.self.key",
        LinearSite::Value => "attention.self.value",
        LinearSite::AttentionOutput => "attention.output.dense",
        LinearSite::FfnUp => "intermediate.dense",
        LinearSite::FfnDown => "output.dense",
    };
    format!("encoder.layer.{layer}.{module}")
}

pub(super) fn sublayer_path(layer: usize, sublayer: SubLayer) -> String {
    let module = match sublayer {
        SubLayer::Attention => "attention.output",
        SubLayer::Ffn => "output",
    };
    format!("encoder.layer.{layer}.{module}")
}
