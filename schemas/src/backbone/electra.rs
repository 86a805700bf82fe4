//! ELECTRA's module paths, as `transformers` names them: BERT's without a pooler, and with a
//! layer that widens the embeddings.

use super::{Module, bert, names::Names};

pub(super) const NAMES: Names = Names { model_prefix: "electra", part, ..bert::NAMES };

fn part(module: Module) -> Option<&'static str> {
    match module {
        Module::EmbeddingProjection => Some("embeddings_project"),
        Module::Pooler => None,
        Module::LmTransform => Some("generator_predictions.dense"),
        Module::LmNorm => Some("generator_predictions.LayerNorm"),
        Module::Output => Some("generator_lm_head"),
        Module::ClassifierDense => Some("classifier.dense"),
        Module::ClassifierOutput => Some("classifier.out_proj"),
        other => bert::part(other),
    }
}
