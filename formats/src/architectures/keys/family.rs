//! Keys of encoders, of decoders, and of both together.

use super::{
    Keys,
    Keys::{Alias, Idle, Only, Read},
    Usual::{No, Yes},
};

pub(super) const ENCODER: &[Keys] =
    &[Only("is_causal", No), Only("is_decoder", No), Only("is_encoder_decoder", No)];

/// The library writes `is_decoder` where the model stands behind an encoder: then `add_cross_attention` says so.
pub(super) const DECODER: &[Keys] = &[Idle(&["is_decoder"]), Only("is_encoder_decoder", No)];

pub(super) const SEQ2SEQ: &[Keys] = &[Only("is_decoder", No)];

/// BART, mBART and Whisper: two stacks whose dimensions have names of their own.
pub(super) const TWO_STACKS: &[Keys] = &[
    Read(&[
        "activation_function",
        "attention_dropout",
        "d_model",
        "decoder_attention_heads",
        "decoder_ffn_dim",
        "decoder_layers",
        "encoder_attention_heads",
        "encoder_ffn_dim",
        "encoder_layers",
        "vocab_size",
    ]),
    Idle(&[
        "activation_dropout",
        "decoder_layerdrop",
        "dropout",
        "encoder_layerdrop",
        "init_std",
        // A copy of `encoder_layers` that no model reads.
        "num_hidden_layers",
    ]),
    Only("is_encoder_decoder", Yes),
    Alias("hidden_size", "d_model"),
    Alias("num_attention_heads", "encoder_attention_heads"),
];
