//! RoBERTa's module paths, as `transformers` names them: BERT's inside another model.

use super::{Module, bert, names::Names};

pub(super) const NAMES: Names = Names { model_prefix: "roberta", part, ..bert::NAMES };

fn part(module: Module) -> Option<&'static str> {
    match module {
        Module::LmTransform => Some("lm_head.dense"),
        Module::LmNorm => Some("lm_head.layer_norm"),
        Module::Output => Some("lm_head.decoder"),
        Module::ClassifierDense => Some("classifier.dense"),
        Module::ClassifierOutput => Some("classifier.out_proj"),
        other => bert::part(other),
    }
}
