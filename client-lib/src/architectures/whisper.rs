//! Whisper's encoder (Radford et al. 2022) as `transformers` stores it, alone or beside a decoder that is
//! not read.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value, json};

use super::{
    BackboneTensor, ConfigError, EncoderParts, FrameGrid, NormOrder, Positions, TransformerConfig, count,
    fraction, only, optional_count, shown, tensor, word,
};

pub(super) fn config(json: &Map<String, Value>) -> Result<TransformerConfig, ConfigError> {
    only(json, "use_weighted_layer_sum", &json!(false))?;
    let frames = FrameGrid {
        mels: optional_count(json, "num_mel_bins")?.unwrap_or(80),
        positions: optional_count(json, "max_source_positions")?.unwrap_or(1500),
    };
    if frames.mels > 1 << 10 {
        return Err(ConfigError::Field {
            key: "num_mel_bins",
            found: shown(json.get("num_mel_bins")),
            expected: "up to 1024 are read",
        });
    }
    let shape = BackboneShape {
        hidden_size: count(json, "d_model")?,
        num_layers: count(json, "encoder_layers")?,
        num_heads: count(json, "encoder_attention_heads")?,
        intermediate_size: count(json, "encoder_ffn_dim")?,
        max_positions: frames.positions,
        ..BackboneShape::EMPTY
    };
    shape.validate()?;
    Ok(TransformerConfig {
        positions: Positions::Frames(frames),
        norm_order: NormOrder::Pre,
        // PyTorch's: the configuration has no word for it.
        norm_eps: 1e-5,
        attention_dropout: fraction(json, "attention_dropout", 0.0)?,
        activation: word(json, "activation_function", "gelu").parse()?,
        encoder: EncoderParts {
            lacks_key_bias: true,
            head_projection: Some(optional_count(json, "classifier_proj_size")?.unwrap_or(256)),
            ..EncoderParts::default()
        },
        ..TransformerConfig::usual(Architecture::Whisper, shape)
    })
}

/// What stands beside the modules: the two convolutions and the positions.
pub(super) fn own_tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let h = config.shape.hidden_size;
    let Positions::Frames(frames) = config.positions else { return Vec::new() };
    vec![
        tensor("embeddings.conv1.weight", "conv1.weight", &[h, frames.mels, 3]),
        tensor("embeddings.conv1.bias", "conv1.bias", &[h]),
        tensor("embeddings.conv2.weight", "conv2.weight", &[h, h, 3]),
        tensor("embeddings.conv2.bias", "conv2.bias", &[h]),
        tensor("embeddings.frames", "embed_positions.weight", &[frames.positions, h]),
    ]
}
