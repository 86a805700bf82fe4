//! RoBERTa's module paths, as `transformers` names them: BERT's inside another model.

use super::{bert, names::Names};

pub(super) const NAMES: Names = Names { model_prefix: "roberta", ..bert::NAMES };
