//! ViT (Dosovitskiy et al. 2021) and DINOv2 (Oquab et al. 2023) as `transformers` stores them.

use hub_schemas::backbone::{Architecture, BackboneShape, Module, SubLayer};
use serde_json::{Map, Value, json};

use super::{
    BackboneTensor, ConfigError, NormKind, NormOrder, PatchGrid, Positions, TransformerConfig, count, flag,
    fraction, only, optional_count, shown, tensor,
};

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    only(json, "pooler_act", &json!("tanh"))?;
    let inner = optional_count(json, "intermediate_size")?.unwrap_or(3072);
    let config = common(json, Architecture::Vit, inner, [224, 16], 1e-12)?;
    only(json, "pooler_output_size", &json!(config.shape.hidden_size))?;
    Ok(config)
}

pub(super) fn dinov2(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    only(json, "use_swiglu_ffn", &json!(false))?;
    let ratio = json.get("mlp_ratio").filter(|value| !value.is_null());
    let ratio = ratio.map_or(Some(4.0), Value::as_f64).filter(|ratio| (1e-3..1e3).contains(ratio));
    let ratio = ratio.ok_or_else(|| ConfigError::Field {
        key: "mlp_ratio",
        found: shown(json.get("mlp_ratio")),
        expected: "it must be a positive number",
    })?;
    let inner = (count(json, "hidden_size")? as f64 * ratio) as usize;
    common(json, Architecture::Dinov2, inner, [224, 14], 1e-6)
}

fn common(
    json: &Map<String, Value>,
    architecture: Architecture,
    intermediate_size: usize,
    [image, patch]: [usize; 2],
    norm_eps: f64,
) -> Result<TransformerConfig, ConfigError> {
    let grid = PatchGrid {
        channels: optional_count(json, "num_channels")?.unwrap_or(3),
        image: sides(json, "image_size", image)?,
        patch: sides(json, "patch_size", patch)?,
        stretches: architecture == Architecture::Dinov2,
    };
    let learned = grid.learned();
    // Positions are stretched from a square, whatever the sides are called.
    if learned.contains(&0) || grid.channels > 64 || grid.stretches && learned[0] != learned[1] {
        return Err(ConfigError::Field {
            key: "image_size",
            found: shown(json.get("image_size")),
            expected: "it must hold a patch or more, in a square for DINOv2, of at most 64 colours",
        });
    }
    let shape = BackboneShape {
        hidden_size: count(json, "hidden_size")?,
        num_layers: count(json, "num_hidden_layers")?,
        num_heads: count(json, "num_attention_heads")?,
        intermediate_size,
        vocab_size: 0,
        max_positions: grid.positions(),
        token_types: 0,
        num_kv_heads: None,
        head_dim: None,
    };
    shape.validate()?;
    Ok(TransformerConfig {
        architecture,
        shape,
        positions: Positions::Grid(grid),
        norm_order: NormOrder::Pre,
        norm_kind: NormKind::Layer,
        is_causal: false,
        window: None,
        attention_bias: if json.contains_key("qkv_bias") { flag(json, "qkv_bias")? } else { true },
        ffn_bias: true,
        padding_id: 0,
        norm_eps: fraction(json, "layer_norm_eps", norm_eps)?,
        attention_dropout: fraction(json, "attention_probs_dropout_prob", 0.0)?,
        activation: json.get("hidden_act").and_then(Value::as_str).unwrap_or("gelu").parse()?,
    })
}

/// Height and width: two numbers, or one for both.
fn sides(json: &Map<String, Value>, key: &'static str, usual: usize) -> Result<[usize; 2], ConfigError> {
    let wrong = || ConfigError::Field {
        key,
        found: shown(json.get(key)),
        expected: "it must be a number of pixels, or a height and a width",
    };
    let side = |value: &Value| {
        let side = value.as_u64().filter(|side| (1..=1 << 13).contains(side));
        side.map(|side| side as usize).ok_or_else(wrong)
    };
    match json.get(key) {
        None | Some(Value::Null) => Ok([usual; 2]),
        Some(Value::Array(sides)) => match sides.as_slice() {
            [height, width] => Ok([side(height)?, side(width)?]),
            _ => Err(wrong()),
        },
        Some(one) => Ok([side(one)?; 2]),
    }
}

pub(super) fn tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let (shape, architecture) = (&config.shape, config.architecture);
    let h = shape.hidden_size;
    let Positions::Grid(grid) = config.positions else { return Vec::new() };
    let [high, wide] = grid.patch;
    let projection = "embeddings.patch_embeddings.projection";
    let mut tensors = vec![
        tensor("embeddings.class", "embeddings.cls_token", &[1, 1, h]),
        tensor("embeddings.grid", "embeddings.position_embeddings", &[1, grid.positions(), h]),
        tensor("embeddings.patch.weight", &format!("{projection}.weight"), &[h, grid.channels, high, wide]),
        tensor("embeddings.patch.bias", &format!("{projection}.bias"), &[h]),
    ];
    let named = |module: Module, part: &str, dims: &[usize]| {
        tensor(&format!("{module}.{part}"), &format!("{}.{part}", architecture.module_path(module)), dims)
    };
    for layer in 0..shape.num_layers {
        for site in architecture.linear_sites() {
            let module = Module::Linear { layer, site };
            let (inputs, outputs) = shape.linear_dims(site);
            tensors.push(named(module, "weight", &[outputs, inputs]));
            if config.has_bias(site) {
                tensors.push(named(module, "bias", &[outputs]));
            }
        }
        for (sublayer, scale) in SubLayer::ALL.into_iter().zip(["layer_scale1", "layer_scale2"]) {
            let module = Module::Norm { layer, sublayer };
            tensors.extend(["weight", "bias"].map(|part| named(module, part, &[h])));
            if architecture == Architecture::Dinov2 {
                let canonical = format!("layers.{layer}.{}.scale", sublayer.as_str());
                let name = format!("{}.{scale}.lambda1", architecture.block_path(layer));
                tensors.push(tensor(&canonical, &name, &[h]));
            }
        }
    }
    tensors.extend(["weight", "bias"].map(|part| named(Module::FinalNorm, part, &[h])));
    if architecture.has(Module::Pooler) {
        // The classes with a head have no pooler.
        tensors.extend(
            [("weight", &[h, h][..]), ("bias", &[h])]
                .map(|(part, dims)| BackboneTensor { optional: true, ..named(Module::Pooler, part, dims) }),
        );
    }
    tensors
}
