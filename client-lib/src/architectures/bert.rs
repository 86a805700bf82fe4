//! BERT (Devlin et al. 2019) as `transformers` stores it.

use hub_schemas::backbone::{Architecture, BackboneShape, SubLayer};
use serde_json::{Map, Value};

use super::{
    BackboneTensor, ConfigError, NormKind, NormOrder, Positions, TransformerConfig, count, shown, tensor,
};

pub(super) fn config(
    json: &Map<String, Value>,
    architecture: Architecture,
) -> Result<TransformerConfig, ConfigError> {
    let shape = BackboneShape {
        hidden_size: count(json, "hidden_size")?,
        num_layers: count(json, "num_hidden_layers")?,
        num_heads: count(json, "num_attention_heads")?,
        intermediate_size: count(json, "intermediate_size")?,
        vocab_size: count(json, "vocab_size")?,
        max_positions: count(json, "max_position_embeddings")?,
        token_types: count(json, "type_vocab_size")?,
        num_kv_heads: None,
        head_dim: None,
    };
    shape.validate()?;
    let positions = json.get("position_embedding_type").and_then(Value::as_str).unwrap_or("absolute");
    if positions != "absolute" {
        return Err(ConfigError::Field {
            key: "position_embedding_type",
            found: positions.to_owned(),
            expected: "only `absolute` positions are supported",
        });
    }
    if json.get("is_decoder").and_then(Value::as_bool) == Some(true) {
        return Err(ConfigError::Field {
            key: "is_decoder",
            found: "true".into(),
            expected: "only encoders are supported",
        });
    }
    let norm_eps = match json.get("layer_norm_eps") {
        None => 1e-12,
        Some(value) => {
            value.as_f64().filter(|e| (0.0..1.0).contains(e)).ok_or_else(|| ConfigError::Field {
                key: "layer_norm_eps",
                found: shown(Some(value)),
                expected: "it must be a small positive number",
            })?
        }
    };
    Ok(TransformerConfig {
        architecture,
        shape,
        positions: Positions::Learned,
        norm_order: NormOrder::Post,
        norm_kind: NormKind::Layer,
        is_causal: false,
        window: None,
        attention_bias: true,
        attention_output_bias: true,
        normalises_heads: false,
        embedding_scale: None,
        ffn_bias: true,
        padding_id: json.get("pad_token_id").and_then(Value::as_u64).unwrap_or(0) as u32,
        norm_eps,
        attention_dropout: json
            .get("attention_probs_dropout_prob")
            .and_then(Value::as_f64)
            .filter(|p| (0.0..1.0).contains(p))
            .unwrap_or(0.1),
        activation: json.get("hidden_act").and_then(Value::as_str).unwrap_or("gelu").parse()?,
    })
}

pub(super) fn tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let shape = &config.shape;
    let h = shape.hidden_size;
    let mut tensors = vec![
        tensor("embeddings.word", "embeddings.word_embeddings.weight", &[shape.vocab_size, h]),
        tensor("embeddings.position", "embeddings.position_embeddings.weight", &[shape.max_positions, h]),
        tensor("embeddings.token_type", "embeddings.token_type_embeddings.weight", &[shape.token_types, h]),
    ];
    tensors.extend(norm("embeddings.norm", "embeddings.LayerNorm", h));
    for layer in 0..shape.num_layers {
        for site in config.architecture.linear_sites() {
            let (inputs, outputs) = shape.linear_dims(site);
            let module = config.architecture.linear_path(layer, site);
            let canonical = format!("layers.{layer}.{site}");
            tensors.push(tensor(
                &format!("{canonical}.weight"),
                &format!("{module}.weight"),
                &[outputs, inputs],
            ));
            tensors.push(tensor(&format!("{canonical}.bias"), &format!("{module}.bias"), &[outputs]));
        }
        for sublayer in SubLayer::ALL {
            let module = config.architecture.sublayer_path(layer, sublayer);
            let canonical = format!("layers.{layer}.{}.norm", sublayer.as_str());
            tensors.extend(norm(&canonical, &format!("{module}.LayerNorm"), h));
        }
    }
    // Checkpoints of masked language models come without a pooler.
    for (part, dims) in [("weight", &[h, h][..]), ("bias", &[h])] {
        tensors.push(BackboneTensor {
            optional: true,
            ..tensor(&format!("pooler.{part}"), &format!("pooler.dense.{part}"), dims)
        });
    }
    tensors
}

/// Checkpoints converted from TensorFlow call a norm's weight `gamma` and its bias `beta`.
fn norm(canonical: &str, module: &str, hidden_size: usize) -> [BackboneTensor; 2] {
    [("weight", "gamma"), ("bias", "beta")].map(|(part, old)| BackboneTensor {
        canonical: format!("{canonical}.{part}"),
        names: vec![format!("{module}.{part}"), format!("{module}.{old}")],
        shape: vec![hidden_size],
        optional: false,
    })
}
