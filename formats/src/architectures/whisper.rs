//! Whisper (Radford et al. 2022) as `transformers` stores it: its encoder alone, which predicts, or with the
//! decoder behind it, which writes what was said.

use hub_schemas::backbone::{Architecture, BackboneShape};
use serde_json::{Map, Value};

use super::{
    BackboneTensor, ConfigError, EncoderParts, FrameGrid, NormOrder, Positions, Seq2SeqParts,
    TransformerConfig, View, activation, count, flag, fraction,
    keys::Keys::{self, Alias, Idle, Read},
    optional_count, padding_id,
    seq2seq_parts::{of_both, token_id},
    shown, tensor,
};

/// The name of what layers weigh, in a checkpoint beside the encoder.
pub const LAYER_WEIGHTS: &str = "layer_weights";

/// Beside those of two stacks.
pub(super) const KEYS: &[Keys] = &[
    Read(&[
        "classifier_proj_size",
        "max_source_positions",
        "max_target_positions",
        "num_mel_bins",
        "use_weighted_layer_sum",
    ]),
    // Masks that training alone lays over spectrograms (Park et al. 2019).
    Idle(&[
        "apply_spec_augment",
        "mask_feature_length",
        "mask_feature_min_masks",
        "mask_feature_prob",
        "mask_time_length",
        "mask_time_min_masks",
        "mask_time_prob",
    ]),
    Idle(&[
        // Of when words were said, which nothing here tells.
        "median_filter_width",
        // The model's code prepares this factor and multiplies nothing with it.
        "scale_embedding",
    ]),
    Alias("num_key_value_heads", "encoder_attention_heads"),
];

pub(super) fn config(json: &Map<String, Value>, view: View) -> Result<TransformerConfig, ConfigError> {
    // A matter of the classifier, which the encoder alone has.
    let weighs_layers = flag(json, "use_weighted_layer_sum")? && view == View::Encoder;
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
    let encoder = BackboneShape {
        hidden_size: count(json, "d_model")?,
        num_layers: count(json, "encoder_layers")?,
        num_heads: count(json, "encoder_attention_heads")?,
        intermediate_size: count(json, "encoder_ffn_dim")?,
        max_positions: frames.positions,
        ..BackboneShape::EMPTY
    };
    let shape = match view {
        View::Encoder => encoder,
        View::Whole => whole(json, encoder)?,
    };
    shape.validate()?;
    let start_token = match view {
        View::Encoder => None,
        View::Whole => token_id(json, "decoder_start_token_id", shape.vocab_size)?,
    };
    Ok(TransformerConfig {
        positions: Positions::Frames(frames),
        norm_order: NormOrder::Pre,
        // PyTorch's: the configuration has no word for it.
        norm_eps: 1e-5,
        attention_dropout: fraction(json, "attention_dropout", 0.0)?,
        activation: activation(json, "activation_function", "gelu")?,
        padding_id: padding_id(json, 50_256)?,
        seq2seq: Seq2SeqParts { start_token, ..Seq2SeqParts::default() },
        encoder: EncoderParts {
            lacks_key_bias: true,
            head_projection: Some(optional_count(json, "classifier_proj_size")?.unwrap_or(256)),
            weighs_layers,
            ..EncoderParts::default()
        },
        ..TransformerConfig::usual(Architecture::Whisper, shape)
    })
}

/// The encoder with the decoder behind it. Positions are the decoder's: the encoder's are those of frames.
fn whole(json: &Map<String, Value>, encoder: BackboneShape) -> Result<BackboneShape, ConfigError> {
    let decoder_layers = count(json, "decoder_layers")?;
    let (num_heads, decoder_heads) = of_both(json, "encoder_attention_heads", "decoder_attention_heads")?;
    let (intermediate_size, decoder_intermediate_size) = of_both(json, "encoder_ffn_dim", "decoder_ffn_dim")?;
    Ok(BackboneShape {
        num_layers: encoder.num_layers.saturating_add(decoder_layers),
        num_heads,
        intermediate_size,
        vocab_size: count(json, "vocab_size")?,
        max_positions: optional_count(json, "max_target_positions")?.unwrap_or(448),
        decoder_layers: Some(decoder_layers),
        decoder_heads,
        decoder_intermediate_size,
        ..encoder
    })
}

/// What stands beside the modules: the two convolutions, the positions, and what layers weigh.
pub(super) fn own_tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let h = config.shape.hidden_size;
    let Positions::Frames(frames) = config.positions else { return Vec::new() };
    let stack = if config.shape.decoder_layers.is_some() { "encoder." } else { "" };
    let own = |canonical: &str, name: &str, shape: &[usize]| {
        tensor(&format!("embeddings.{canonical}"), &format!("{stack}{name}"), shape)
    };
    let mut tensors = vec![
        own("conv1.weight", "conv1.weight", &[h, frames.mels, 3]),
        own("conv1.bias", "conv1.bias", &[h]),
        own("conv2.weight", "conv2.weight", &[h, h, 3]),
        own("conv2.bias", "conv2.bias", &[h]),
        own("frames", "embed_positions.weight", &[frames.positions, h]),
    ];
    if config.encoder.weighs_layers {
        let layers = [config.shape.num_layers + 1];
        let weights = tensor(LAYER_WEIGHTS, LAYER_WEIGHTS, &layers);
        tensors.push(BackboneTensor { optional: true, ..weights });
    }
    tensors
}
