//! GPT-2 (Radford et al. 2019) as `transformers` stores it: weights of linear layers are `[in, out]`.

use hub_schemas::backbone::{Architecture, BackboneShape, Module, SubLayer, Table};
use serde_json::{Map, Value, json};

use super::{
    BackboneTensor, ConfigError, EncoderParts, NormKind, NormOrder, Positions, TransformerConfig, count,
    fraction, only, optional_count, tensor,
};

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let hidden_size = count(json, "n_embd")?;
    let shape = BackboneShape {
        hidden_size,
        num_layers: count(json, "n_layer")?,
        num_heads: count(json, "n_head")?,
        intermediate_size: optional_count(json, "n_inner")?.unwrap_or(4 * hidden_size),
        vocab_size: count(json, "vocab_size")?,
        max_positions: count(json, "n_positions")?,
        token_types: 0,
        num_kv_heads: None,
        head_dim: None,
        embedding_size: None,
    };
    shape.validate()?;
    only(json, "scale_attn_weights", &json!(true))?;
    only(json, "scale_attn_by_inverse_layer_idx", &json!(false))?;
    only(json, "add_cross_attention", &json!(false))?;
    Ok(TransformerConfig {
        architecture: Architecture::Gpt2,
        shape,
        positions: Positions::Learned,
        norm_order: NormOrder::Pre,
        norm_kind: NormKind::Layer,
        is_causal: true,
        window: None,
        attention_bias: true,
        attention_output_bias: true,
        normalises_heads: false,
        embedding_scale: None,
        ffn_bias: true,
        padding_id: json.get("pad_token_id").and_then(Value::as_u64).unwrap_or(0) as u32,
        norm_eps: fraction(json, "layer_norm_epsilon", 1e-5)?,
        attention_dropout: fraction(json, "attn_pdrop", 0.1)?,
        activation: json.get("activation_function").and_then(Value::as_str).unwrap_or("gelu_new").parse()?,
        encoder: EncoderParts::default(),
    })
}

pub(super) fn tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let (shape, architecture) = (&config.shape, config.architecture);
    let h = shape.hidden_size;
    let path = |module: Module| architecture.module_path(module);
    let mut tensors = Vec::new();
    for table in [Table::Word, Table::Position] {
        let module = Module::Embedding(table);
        let (rows, width) = shape.module_dims(module);
        tensors.push(tensor(&module.to_string(), &format!("{}.weight", path(module)), &[rows, width]));
    }
    let norm = |module: Module| {
        ["weight", "bias"]
            .map(|part| tensor(&format!("{module}.{part}"), &format!("{}.{part}", path(module)), &[h]))
    };
    for layer in 0..shape.num_layers {
        for site in architecture.linear_sites() {
            let module = Module::Linear { layer, site };
            let (inputs, outputs) = shape.linear_dims(site);
            let at = path(module);
            tensors.push(tensor(&format!("{module}.weight"), &format!("{at}.weight"), &[inputs, outputs]));
            tensors.push(tensor(&format!("{module}.bias"), &format!("{at}.bias"), &[outputs]));
        }
        for sublayer in SubLayer::ALL {
            tensors.extend(norm(Module::Norm { layer, sublayer }));
        }
    }
    tensors.extend(norm(Module::FinalNorm));
    tensors
}
