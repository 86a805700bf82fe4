//! ELECTRA (Clark et al. 2020) as `transformers` stores it: BERT without a pooler, with tables
//! that may be narrower than the blocks.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value};

use super::{
    ConfigError, TransformerConfig, bert,
    keys::Keys::{self, Idle, Read},
    optional_count,
};

/// Width of the tables, where `config.json` states none.
const TABLES: usize = 128;

/// Beside those of a BERT.
pub(super) const KEYS: &[Keys] = &[
    Read(&["embedding_size"]),
    // Of the model that it was trained against.
    Idle(&["generator_size"]),
];

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let config = bert::config(json, Architecture::Electra)?;
    let width = optional_count(json, "embedding_size")?.unwrap_or(TABLES);
    let embedding_size = (width != config.shape.hidden_size).then_some(width);
    let shape = BackboneShape { embedding_size, ..config.shape };
    shape.validate()?;
    Ok(TransformerConfig { shape, ..config })
}
