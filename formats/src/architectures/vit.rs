//! ViT (Dosovitskiy et al. 2021) and DINOv2 (Oquab et al. 2023) as `transformers` stores them.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, SubLayer},
    method::Activation,
};
use serde_json::{Map, Value};

use super::{
    BackboneTensor, ConfigError, EncoderParts, NormOrder, PatchGrid, Positions, TransformerConfig,
    activation, count, flag, fraction,
    keys::Keys::{self, Idle, Read},
    optional_count, shown, tensor,
};

/// The keys of both.
pub(super) const KEYS: &[Keys] = &[
    Read(&[
        "attention_probs_dropout_prob",
        "hidden_act",
        "hidden_size",
        "image_size",
        "layer_norm_eps",
        "num_attention_heads",
        "num_channels",
        "num_hidden_layers",
        "patch_size",
        "qkv_bias",
    ]),
    Idle(&["hidden_dropout_prob"]),
];

pub(super) const VIT_KEYS: &[Keys] = &[
    Read(&["intermediate_size", "pooler_act", "pooler_output_size"]),
    // Of a decoder that learns pictures and is left out.
    Idle(&["encoder_stride"]),
];

pub(super) const DINOV2_KEYS: &[Keys] = &[
    Read(&["mlp_ratio", "use_swiglu_ffn"]),
    Idle(&[
        // How scales begin; the checkpoint has what became of them.
        "layerscale_value",
        "drop_path_rate",
        // Of patches that training alone masks.
        "use_mask_token",
        // What the class without a head gives back of which layer.
        "apply_layernorm",
        "out_features",
        "out_indices",
        "reshape_hidden_states",
        "stage_names",
    ]),
];

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let pooler_activation = activation(json, "pooler_act", "tanh")?;
    let inner = optional_count(json, "intermediate_size")?.unwrap_or(3072);
    let config = common(json, Architecture::Vit, inner, [224, 16], 1e-12)?;
    let width = optional_count(json, "pooler_output_size")?.unwrap_or(config.shape.hidden_size);
    let skips_pooler = width != config.shape.hidden_size;
    let encoder = EncoderParts { pooler_activation, skips_pooler, ..config.encoder };
    Ok(TransformerConfig { encoder, ..config })
}

pub(super) fn dinov2(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    let has_gate = flag(json, "use_swiglu_ffn")?;
    let ratio = json.get("mlp_ratio").filter(|value| !value.is_null());
    let ratio = ratio.map_or(Some(4.0), Value::as_f64).filter(|ratio| (1e-3..1e3).contains(ratio));
    let ratio = ratio.ok_or_else(|| ConfigError::Field {
        key: "mlp_ratio",
        found: shown(json.get("mlp_ratio")),
        expected: "it must be a positive number",
    })?;
    let inner = (count(json, "hidden_size")? as f64 * ratio) as usize;
    if !has_gate {
        return common(json, Architecture::Dinov2, inner, [224, 14], 1e-6);
    }
    // `Dinov2SwiGLUFFN`: as many weights as without a gate, in steps of eight.
    let inner = (inner * 2 / 3).div_ceil(8) * 8;
    let config = common(json, Architecture::Dinov2, inner, [224, 14], 1e-6)?;
    let shape = BackboneShape { has_ffn_gate: true, ..config.shape };
    Ok(TransformerConfig { shape, activation: Activation::Swish, ..config })
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
        max_positions: grid.positions(),
        ..BackboneShape::EMPTY
    };
    shape.validate()?;
    Ok(TransformerConfig {
        positions: Positions::Grid(grid),
        norm_order: NormOrder::Pre,
        // About the three, and not about the layer behind them.
        attention_bias: !json.contains_key("qkv_bias") || flag(json, "qkv_bias")?,
        norm_eps: fraction(json, "layer_norm_eps", norm_eps)?,
        attention_dropout: fraction(json, "attention_probs_dropout_prob", 0.0)?,
        activation: activation(json, "hidden_act", "gelu")?,
        ..TransformerConfig::usual(architecture, shape)
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

/// What stands beside the modules: the patches' projection, class token and positions, and DINOv2's scales.
pub(super) fn own_tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let h = config.shape.hidden_size;
    let Positions::Grid(grid) = config.positions else { return Vec::new() };
    let [high, wide] = grid.patch;
    let projection = "embeddings.patch_embeddings.projection";
    let mut tensors = vec![
        tensor("embeddings.class", "embeddings.cls_token", &[1, 1, h]),
        tensor("embeddings.grid", "embeddings.position_embeddings", &[1, grid.positions(), h]),
        tensor("embeddings.patch.weight", &format!("{projection}.weight"), &[h, grid.channels, high, wide]),
        tensor("embeddings.patch.bias", &format!("{projection}.bias"), &[h]),
    ];
    if config.architecture == Architecture::Dinov2 {
        tensors.extend((0..config.shape.num_layers).flat_map(|layer| {
            SubLayer::USUAL.map(|sublayer| {
                let scale = format!("layer_scale{}.lambda1", sublayer as usize + 1);
                let name =
                    format!("{}.{scale}", config.architecture.block_path(layer, config.shape.variant()));
                tensor(&format!("layers.{layer}.{}.scale", sublayer.as_str()), &name, &[h])
            })
        }));
    }
    tensors
}
