//! RoBERTa's module paths, as `transformers` names them: BERT's inside another model.

pub(super) const MODEL_PREFIX: &str = "roberta";
