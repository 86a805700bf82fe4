//! ALBERT (Lan et al. 2020) as `transformers` stores it: narrow tables, and layers that share
//! their weights. What is a block here is applied by several layers.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value, json};

use super::{
    ConfigError, EncoderParts, TransformerConfig, bert, count,
    keys::{
        Keys::{self, Idle, Only, Read},
        Usual::Number,
    },
    optional_count, shown,
};

/// Beside those of a BERT. The switches are the original implementation's: the library's classes know one value of each.
pub(super) const KEYS: &[Keys] = &[
    Read(&["embedding_size", "num_hidden_groups"]),
    Idle(&["classifier_dropout_prob"]),
    Only("down_scale_factor", Number(1)),
    Only("gap_size", Number(0)),
    Only("inner_group_num", Number(1)),
    Only("net_structure_type", Number(0)),
    Only("num_memory_blocks", Number(0)),
];

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let mut json = json.clone();
    json.entry("hidden_act").or_insert(json!("gelu_new"));
    json.entry("attention_probs_dropout_prob").or_insert(json!(0.0));
    let config = bert::config(&json, Architecture::Albert)?;
    let layers = count(&json, "num_hidden_layers")?;
    let groups = optional_count(&json, "num_hidden_groups")?.unwrap_or(1);
    if groups > layers {
        return Err(ConfigError::Field {
            key: "num_hidden_groups",
            found: shown(json.get("num_hidden_groups")),
            expected: "there can't be more groups of layers than layers",
        });
    }
    // Always there, even where it widens nothing.
    let embedding_size = Some(optional_count(&json, "embedding_size")?.unwrap_or(128));
    let shape = BackboneShape { num_layers: groups, embedding_size, ..config.shape };
    shape.validate()?;
    Ok(TransformerConfig {
        shape,
        encoder: EncoderParts { applied_layers: Some(layers), ..EncoderParts::default() },
        ..config
    })
}
