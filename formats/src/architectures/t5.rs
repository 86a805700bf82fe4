//! T5 (Raffel et al. 2020), T5 v1.1, Flan-T5 and mT5 (Xue et al. 2021) as `transformers` stores them: with a decoder, or the
//! encoder alone.

use hub_schemas::{
    backbone::{Architecture, BackboneShape},
    method::Activation,
};
use serde_json::{Map, Value, json};

use super::{
    BackboneTensor, ConfigError, DecoderParts, DistanceBuckets, NormKind, NormOrder, Positions, Seq2SeqParts,
    TransformerConfig, activation, count, flag, fraction,
    keys::Keys::{self, Alias, Idle, Read},
    only, optional_count, padding_id,
    seq2seq_parts::{is_class, token_id},
    shown, tensor, word,
};

pub(super) const KEYS: &[Keys] = &[
    Read(&[
        "d_ff",
        "d_kv",
        "d_model",
        "dense_act_fn",
        "dropout_rate",
        "feed_forward_proj",
        "is_encoder_decoder",
        "is_gated_act",
        "layer_norm_epsilon",
        "num_decoder_layers",
        "num_heads",
        "num_layers",
        "relative_attention_max_distance",
        "relative_attention_num_buckets",
        "scale_decoder_outputs",
        "vocab_size",
    ]),
    // How long inputs were in training: any distance has a bucket.
    Idle(&["initializer_factor", "n_positions"]),
    Alias("head_dim", "d_kv"),
    Alias("hidden_size", "d_model"),
    Alias("num_attention_heads", "num_heads"),
    Alias("num_hidden_layers", "num_layers"),
];

/// Classes without a decoder.
const ENCODERS: [&str; 4] =
    ["T5EncoderModel", "T5ForTokenClassification", "MT5EncoderModel", "MT5ForTokenClassification"];
/// Classes whose decoder reads the input where it is given nothing else.
const READERS: [&str; 4] = [
    "T5ForSequenceClassification",
    "T5ForQuestionAnswering",
    "MT5ForSequenceClassification",
    "MT5ForQuestionAnswering",
];

pub(super) fn config(
    json: &Map<String, Value>,
    architecture: Architecture,
) -> Result<TransformerConfig, ConfigError> {
    // What the library's configuration classes take where `config.json` is silent.
    let usual_activation = if architecture == Architecture::Mt5 { "gated-gelu" } else { "relu" };
    let encoder = count(json, "num_layers")?;
    let is_encoder = is_class(json, &ENCODERS) || json.get("is_encoder_decoder") == Some(&Value::Bool(false));
    let decoder = optional_count(json, "num_decoder_layers")?.unwrap_or(encoder);
    let decoder_layers = (!is_encoder).then_some(decoder);
    let (activation, has_ffn_gate) = feed_forward(json, usual_activation)?;
    let shape = BackboneShape {
        hidden_size: count(json, "d_model")?,
        num_layers: encoder.saturating_add(decoder_layers.unwrap_or(0)),
        num_heads: count(json, "num_heads")?,
        intermediate_size: count(json, "d_ff")?,
        vocab_size: count(json, "vocab_size")?,
        head_dim: Some(count(json, "d_kv")?),
        decoder_layers,
        has_ffn_gate,
        ..BackboneShape::EMPTY
    };
    let shape = BackboneShape {
        head_dim: shape
            .head_dim
            .filter(|width| width.checked_mul(shape.num_heads) != Some(shape.hidden_size)),
        ..shape
    };
    shape.validate()?;
    let is_tied = is_tied(json, architecture)?;
    let writes = !is_encoder && !is_class(json, &READERS);
    if architecture == Architecture::Mt5 && writes && is_tied && library(json) > 4 {
        return Err(ConfigError::Field {
            key: "tie_word_embeddings",
            found: "true".to_owned(),
            expected: "what `transformers` 5 writes does not say whether mT5's output is scaled",
        });
    }
    Ok(TransformerConfig {
        positions: Positions::Distances(buckets(json)?),
        norm_order: NormOrder::Pre,
        norm_kind: NormKind::Rms,
        attention_bias: false,
        attention_output_bias: false,
        ffn_bias: false,
        padding_id: padding_id(json, 0)?,
        norm_eps: fraction(json, "layer_norm_epsilon", 1e-6)?,
        attention_dropout: fraction(json, "dropout_rate", 0.1)?,
        activation,
        // Scores are not scaled.
        decoder: DecoderParts { query_scalar: Some(1.0), ..DecoderParts::default() },
        seq2seq: Seq2SeqParts {
            start_token: token_id(json, "decoder_start_token_id", shape.vocab_size)?,
            reads_input: is_class(json, &READERS),
            turns_input: false,
            output_scale: is_tied.then(|| (shape.hidden_size as f64).powf(-0.5)),
            end_token: Some(token_id(json, "eos_token_id", shape.vocab_size)?.unwrap_or(1)),
        },
        ..TransformerConfig::usual(architecture, shape)
    })
}

/// Whether the output is the table of words, and scaled. Version 5 of the library always says that it is the table, and of
/// T5 whether it is scaled in a word of its own: where an output of its own stands behind that can't be told.
fn is_tied(json: &Map<String, Value>, architecture: Architecture) -> Result<bool, ConfigError> {
    let stated = json.get("tie_word_embeddings").and_then(Value::as_bool);
    let is_tied = stated.unwrap_or(architecture == Architecture::T5);
    only(json, "scale_decoder_outputs", &json!(is_tied))?;
    Ok(is_tied)
}

/// The version of the library that wrote this.
fn library(json: &Map<String, Value>) -> u32 {
    let major = word(json, "transformers_version", "4").split('.').next();
    major.and_then(|major| major.parse().ok()).unwrap_or(4)
}

/// Activation and gate: of `feed_forward_proj`, unless they are stated themselves.
fn feed_forward(json: &Map<String, Value>, usual: &str) -> Result<(Activation, bool), ConfigError> {
    let name = word(json, "feed_forward_proj", usual);
    let gated = name.strip_prefix("gated-");
    if gated.unwrap_or(name).contains('-') {
        return Err(ConfigError::Field {
            key: "feed_forward_proj",
            found: shown(json.get("feed_forward_proj")),
            expected: "it must be an activation, with or without `gated-` in front",
        });
    }
    let own = if name == "gated-gelu" { "gelu_new" } else { gated.unwrap_or(name) };
    let has_gate =
        if json.contains_key("is_gated_act") { flag(json, "is_gated_act")? } else { gated.is_some() };
    if json.contains_key("dense_act_fn") {
        return Ok((activation(json, "dense_act_fn", own)?, has_gate));
    }
    let activation =
        own.parse().map_err(|source| ConfigError::Activation { key: "feed_forward_proj", source })?;
    Ok((activation, has_gate))
}

fn buckets(json: &Map<String, Value>) -> Result<DistanceBuckets, ConfigError> {
    let buckets = optional_count(json, "relative_attention_num_buckets")?.unwrap_or(32);
    let farthest = optional_count(json, "relative_attention_max_distance")?.unwrap_or(128);
    if !(4..=1 << 16).contains(&buckets) || !buckets.is_multiple_of(4) {
        return Err(ConfigError::Field {
            key: "relative_attention_num_buckets",
            found: buckets.to_string(),
            expected: "it must be a multiple of 4 up to 65536",
        });
    }
    if farthest <= buckets / 2 {
        return Err(ConfigError::Field {
            key: "relative_attention_max_distance",
            found: farthest.to_string(),
            expected: "it must be more than half the number of buckets",
        });
    }
    Ok(DistanceBuckets { buckets, farthest })
}

/// What stands beside the modules: the tables of distances, in the first block of each stack.
pub(super) fn own_tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let Positions::Distances(DistanceBuckets { buckets, .. }) = config.positions else { return Vec::new() };
    let variant = config.shape.variant();
    let table = |name: &str, layer: usize| {
        let at = config.architecture.attention_path(layer, variant);
        tensor(name, &format!("{at}.relative_attention_bias.weight"), &[buckets, config.shape.num_heads])
    };
    let decoder = variant.decoder_from.map(|first| table("decoder.distances", first));
    [table("distances", 0)].into_iter().chain(decoder).collect()
}
