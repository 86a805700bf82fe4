//! DeBERTa-v2 and -v3 (He et al. 2021) as `transformers` stores them: BERT whose attention
//! compares contents with relative positions.

use hub_schemas::{
    backbone::{Architecture, BackboneShape},
    method::Activation,
};
use serde_json::{Map, Value, json};

use super::{
    BackboneTensor, ConfigError, Convolution, Disentangled, EncoderParts, TransformerConfig, activation,
    bert, count, flag,
    keys::{
        Keys::{self, Idle, Only, Read},
        Usual::Number,
    },
    only, optional_count, shown, tensor,
};

/// Beside those of a BERT.
pub(super) const KEYS: &[Keys] = &[
    Read(&[
        "attention_head_size",
        "conv_act",
        "conv_groups",
        "conv_kernel_size",
        "embedding_size",
        "max_relative_positions",
        "norm_rel_ebd",
        "pooler_hidden_act",
        "pooler_hidden_size",
        "pos_att_type",
        "position_biased_input",
        "position_buckets",
        "relative_attention",
        "share_att_key",
    ]),
    Idle(&[
        // Which head predicts masked words: the other one's tensors have other names.
        "legacy",
        "padding_idx",
        "pooler_dropout",
    ]),
    // How often the last layer is applied again.
    Only("z_steps", Number(0)),
];

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let mut json = json.clone();
    json.entry("layer_norm_eps").or_insert(json!(1e-7));
    // Bounded by what a segment table may be; none is a table of no rows.
    let has_segments = json.get("type_vocab_size").and_then(Value::as_u64).unwrap_or(0) > 0;
    if !has_segments {
        json.insert("type_vocab_size".into(), json!(1));
    }
    let config = bert::config(&json, Architecture::DebertaV2)?;
    let hidden_size = config.shape.hidden_size;
    only(&json, "embedding_size", &json!(hidden_size))?;
    only(&json, "pooler_hidden_size", &json!(hidden_size))?;
    only(&json, "attention_head_size", &json!(hidden_size / config.shape.num_heads))?;
    let token_types = if has_segments { config.shape.token_types } else { 0 };
    let has_table = json.get("position_biased_input").and_then(Value::as_bool).unwrap_or(true);
    let activation: Activation = activation(&json, "pooler_hidden_act", "gelu")?;
    let encoder = EncoderParts {
        pooler_activation: activation,
        convolution: convolution(&json, hidden_size)?,
        disentangled: Some(disentangled(&json, config.shape.max_positions)?),
        lacks_positions: !has_table,
        ..EncoderParts::default()
    };
    Ok(TransformerConfig { shape: BackboneShape { token_types, ..config.shape }, encoder, ..config })
}

/// The convolution beside the first block: of an odd kernel, which leaves as many tokens as there were.
fn convolution(json: &Map<String, Value>, hidden_size: usize) -> Result<Option<Convolution>, ConfigError> {
    if json.get("conv_kernel_size").and_then(Value::as_i64).unwrap_or(0) <= 0 {
        return Ok(None);
    }
    let (kernel, groups) =
        (count(json, "conv_kernel_size")?, optional_count(json, "conv_groups")?.unwrap_or(1));
    let wrong = |key, expected| Err(ConfigError::Field { key, found: shown(json.get(key)), expected });
    // It is computed as one matrix, whatever the groups are.
    let numbers = hidden_size.saturating_mul(hidden_size).saturating_mul(kernel);
    if kernel.is_multiple_of(2) || numbers > 1 << 27 {
        return wrong("conv_kernel_size", "it must be an odd number, and small beside the hidden size");
    }
    if !hidden_size.is_multiple_of(groups) {
        return wrong("conv_groups", "it must divide `hidden_size`");
    }
    Ok(Some(Convolution { kernel, groups, activation: activation(json, "conv_act", "tanh")? }))
}

/// The tensors of that convolution.
pub(super) fn convolution_tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let Some(own) = config.encoder.convolution else { return Vec::new() };
    let h = config.shape.hidden_size;
    vec![
        tensor("convolution.weight", "encoder.conv.conv.weight", &[h, h / own.groups, own.kernel]),
        tensor("convolution.bias", "encoder.conv.conv.bias", &[h]),
        tensor("convolution.norm.weight", "encoder.conv.LayerNorm.weight", &[h]),
        tensor("convolution.norm.bias", "encoder.conv.LayerNorm.bias", &[h]),
    ]
}

fn disentangled(json: &Map<String, Value>, max_positions: usize) -> Result<Disentangled, ConfigError> {
    let is_relative = flag(json, "relative_attention")?;
    let positive = |key: &str| {
        json.get(key).and_then(Value::as_i64).and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0)
    };
    let kinds: Vec<&str> = match json.get("pos_att_type") {
        Some(Value::String(text)) => text.split('|').map(str::trim).collect(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if let Some(other) = kinds.iter().find(|kind| !["c2p", "p2c", ""].contains(kind)) {
        return Err(ConfigError::Field {
            key: "pos_att_type",
            found: (*other).to_owned(),
            expected: "`c2p` and `p2c` are supported",
        });
    }
    let norm = json.get("norm_rel_ebd").and_then(Value::as_str).unwrap_or("none").to_lowercase();
    Ok(Disentangled {
        is_relative,
        content_to_position: kinds.contains(&"c2p"),
        position_to_content: kinds.contains(&"p2c"),
        shares_projections: flag(json, "share_att_key")?,
        has_norm: norm.split('|').any(|part| part.trim() == "layer_norm"),
        buckets: positive("position_buckets"),
        farthest: positive("max_relative_positions").unwrap_or(max_positions).min(1 << 20),
    })
}

/// What relative positions need beside the modules of a backbone.
pub(super) fn relative_tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let h = config.shape.hidden_size;
    let Some(own) = config.encoder.disentangled.filter(|own| own.is_relative) else { return Vec::new() };
    let mut tensors = vec![tensor("relative.table", "encoder.rel_embeddings.weight", &[2 * own.span(), h])];
    if own.shares_projections {
        return tensors;
    }
    for layer in 0..config.shape.num_layers {
        for (canonical, name, wanted) in [
            ("relative_key", "pos_key_proj", own.content_to_position),
            ("relative_query", "pos_query_proj", own.position_to_content),
        ] {
            if wanted {
                let at = format!("encoder.layer.{layer}.attention.self.{name}");
                let canonical = format!("layers.{layer}.{canonical}");
                tensors.push(tensor(&format!("{canonical}.weight"), &format!("{at}.weight"), &[h, h]));
                tensors.push(tensor(&format!("{canonical}.bias"), &format!("{at}.bias"), &[h]));
            }
        }
    }
    tensors
}
