//! BERT (Devlin et al. 2019) as `transformers` stores it.

use hub_schemas::backbone::{Architecture, BackboneShape, Module, Table};
use serde_json::{Map, Value};

use super::{
    BackboneTensor, ConfigError, EncoderParts, NormKind, NormOrder, Positions, TransformerConfig, count,
    shown, tensor,
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
        embedding_size: None,
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
        encoder: EncoderParts::default(),
    })
}

/// The tensors of an encoder that is built like BERT, whatever its modules are called.
pub(super) fn tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let (shape, architecture) = (&config.shape, config.architecture);
    let mut tensors = Vec::new();
    let is_there = |module: &Module| match module {
        Module::Embedding(Table::Position) => !config.encoder.lacks_positions,
        Module::RelativeNorm => config.encoder.disentangled.is_some_and(|own| own.has_norm),
        _ => true,
    };
    for module in shape.modules(architecture).into_iter().filter(is_there) {
        let path = architecture.module_path(module);
        let (inputs, outputs) = shape.module_dims(module);
        let named = |part: &str, dims: &[usize]| BackboneTensor {
            // Checkpoints of masked language models come without a pooler.
            optional: module == Module::Pooler,
            ..tensor(&format!("{module}.{part}"), &format!("{path}.{part}"), dims)
        };
        match module {
            Module::Embedding(_) => {
                tensors.push(tensor(&module.to_string(), &format!("{path}.weight"), &[inputs, outputs]));
            }
            norms if norms.is_norm() => tensors.extend(norm(&module.to_string(), &path, inputs)),
            _ => tensors.extend([named("weight", &[outputs, inputs]), named("bias", &[outputs])]),
        }
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
