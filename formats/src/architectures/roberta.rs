//! RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020): BERT with positions
//! counted over the tokens that are not padding, from behind the padding id.

use hub_schemas::backbone::Architecture;
use serde_json::{Map, Value};

use super::{ConfigError, Positions, TransformerConfig, bert, optional};

/// RoBERTa's padding id, where `config.json` states none.
const PADDING: u64 = 1;

pub(super) fn config(
    json: &Map<String, Value>,
    architecture: Architecture,
) -> Result<TransformerConfig, ConfigError> {
    let config = bert::config(json, architecture)?;
    // Its position is the first, so that one more must be there.
    let most = config.shape.max_positions.saturating_sub(1) as u64;
    let below = |id: u64| u32::try_from(id).ok().filter(|_| id < most);
    let expected = "it must be a token id below the number of positions";
    let id = optional(json, "pad_token_id", |value| value.as_u64().and_then(below), expected)?;
    let id = id.or_else(|| below(PADDING)).ok_or_else(|| ConfigError::Field {
        key: "max_position_embeddings",
        found: config.shape.max_positions.to_string(),
        expected: "positions are counted from behind the padding id: there must be more than two",
    })?;
    let positions = Positions::LearnedFromPadding(id);
    Ok(TransformerConfig { positions, padding_id: id, ..config })
}
