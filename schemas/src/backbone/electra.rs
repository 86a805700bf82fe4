//! ELECTRA's module paths, as `transformers` names them: BERT's without a pooler, and with a
//! layer that widens the embeddings.

use super::{Module, bert};

pub(super) const MODEL_PREFIX: &str = "electra";

pub(super) fn module_path(module: Module) -> Option<String> {
    match module {
        Module::EmbeddingProjection => Some("embeddings_project".to_owned()),
        Module::Pooler => None,
        other => bert::module_path(other),
    }
}
