//! `ModernBERT` (Warner et al. 2024) as `transformers` stores it: pre-norm with rotary positions,
//! a gated feed-forward network, and layers that look only around most of the time.

use hub_schemas::backbone::{Architecture, BackboneShape, Module};
use serde_json::{Map, Value};

use super::{
    BackboneTensor, ConfigError, EncoderParts, LocalAttention, NormKind, NormOrder, Positions, Rope,
    RopeScaling, TransformerConfig, count, flag, fraction, only, optional_count, shown, tensor,
};

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let shape = BackboneShape {
        hidden_size: count(json, "hidden_size")?,
        num_layers: count(json, "num_hidden_layers")?,
        num_heads: count(json, "num_attention_heads")?,
        intermediate_size: count(json, "intermediate_size")?,
        vocab_size: count(json, "vocab_size")?,
        max_positions: optional_count(json, "max_position_embeddings")?.unwrap_or(8192),
        token_types: 0,
        num_kv_heads: None,
        head_dim: None,
        embedding_size: None,
    };
    shape.validate()?;
    if !shape.head_width().is_multiple_of(2) {
        return Err(ConfigError::Field {
            key: "num_attention_heads",
            found: shape.num_heads.to_string(),
            expected: "rotary positions need heads of an even width",
        });
    }
    only(json, "rope_scaling", &Value::Null)?;
    let global = theta(json, "global_rope_theta")?.unwrap_or(160_000.0);
    let local = match json.get("local_rope_theta") {
        Some(Value::Null) => global,
        _ => theta(json, "local_rope_theta")?.unwrap_or(10_000.0),
    };
    let text = |key: &str, usual: &'static str| {
        json.get(key).and_then(Value::as_str).map_or_else(|| usual.to_owned(), ToOwned::to_owned)
    };
    let pooling = text("classifier_pooling", "cls");
    if pooling != "cls" && pooling != "mean" {
        return Err(ConfigError::Field {
            key: "classifier_pooling",
            found: pooling,
            expected: "`cls` and `mean` are supported",
        });
    }
    Ok(TransformerConfig {
        architecture: Architecture::ModernBert,
        shape,
        positions: Positions::Rotary(Rope { theta: global, scaling: RopeScaling::None }),
        norm_order: NormOrder::Pre,
        norm_kind: NormKind::Layer,
        is_causal: false,
        window: None,
        attention_bias: flag(json, "attention_bias")?,
        attention_output_bias: flag(json, "attention_bias")?,
        normalises_heads: false,
        embedding_scale: None,
        ffn_bias: flag(json, "mlp_bias")?,
        padding_id: json.get("pad_token_id").and_then(Value::as_u64).unwrap_or(50_283) as u32,
        norm_eps: fraction(json, "norm_eps", 1e-5)?,
        attention_dropout: fraction(json, "attention_dropout", 0.0)?,
        activation: text("hidden_activation", "gelu").parse()?,
        encoder: EncoderParts {
            pooler_activation: text("classifier_activation", "gelu").parse()?,
            pools_mean: pooling == "mean",
            local: Some(LocalAttention {
                every: optional_count(json, "global_attn_every_n_layers")?.unwrap_or(3),
                reach: optional_count(json, "local_attention")?.unwrap_or(128) / 2,
                rope: Rope { theta: local, scaling: RopeScaling::None },
            }),
            has_norm_bias: flag(json, "norm_bias")?,
            ..EncoderParts::default()
        },
    })
}

fn theta(json: &Map<String, Value>, key: &'static str) -> Result<Option<f64>, ConfigError> {
    match json.get(key) {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|n| *n > 0.0 && n.is_finite()).map(Some).ok_or_else(|| {
            ConfigError::Field { key, found: shown(Some(value)), expected: "it must be a positive number" }
        }),
    }
}

pub(super) fn tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let (shape, architecture) = (&config.shape, config.architecture);
    let mut tensors = Vec::new();
    for module in shape.modules(architecture) {
        let path = architecture.module_path(module);
        let (inputs, outputs) = shape.module_dims(module);
        let named = |part: &str, dims: &[usize]| BackboneTensor {
            optional: module == Module::Pooler,
            ..tensor(&format!("{module}.{part}"), &format!("{path}.{part}"), dims)
        };
        match module {
            Module::Embedding(_) => {
                tensors.push(tensor(&module.to_string(), &format!("{path}.weight"), &[inputs, outputs]));
            }
            norms if norms.is_norm() => {
                tensors.push(named("weight", &[inputs]));
                if config.encoder.has_norm_bias {
                    tensors.push(named("bias", &[inputs]));
                }
            }
            linear => {
                tensors.push(named("weight", &[outputs, inputs]));
                let has_bias = match linear {
                    Module::Linear { site, .. } => config.has_bias(site),
                    _ => true,
                };
                if has_bias {
                    tensors.push(named("bias", &[outputs]));
                }
            }
        }
    }
    for part in ["weight", "bias"] {
        tensors.push(BackboneTensor {
            optional: true,
            ..tensor(&format!("pooler.norm.{part}"), &format!("head.norm.{part}"), &[shape.hidden_size])
        });
    }
    tensors
}
