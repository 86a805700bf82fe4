//! RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020): BERT with positions
//! counted over the tokens that are not padding, from behind the padding id.

use hub_schemas::backbone::Architecture;
use serde_json::{Map, Value};

use super::{ConfigError, Positions, TransformerConfig, bert, shown};

/// RoBERTa's padding id, where `config.json` states none.
const PADDING: u64 = 1;

pub(super) fn config(
    json: &Map<String, Value>,
    architecture: Architecture,
) -> Result<TransformerConfig, ConfigError> {
    let config = bert::config(json, architecture)?;
    let padding = json.get("pad_token_id").filter(|v| !v.is_null());
    let wrong = || ConfigError::Field {
        key: "pad_token_id",
        found: shown(padding),
        expected: "it must be a token id below the number of positions",
    };
    let id = padding.map_or(Some(PADDING), Value::as_u64).ok_or_else(wrong)?;
    if id.saturating_add(1) >= config.shape.max_positions as u64 {
        return Err(wrong());
    }
    let positions = Positions::LearnedFromPadding(id as u32);
    Ok(TransformerConfig { positions, padding_id: id as u32, ..config })
}
