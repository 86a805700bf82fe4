//! Prompt learning: `PromptTuningConfig`, `PromptEncoderConfig` (P-tuning, whose network is
//! baked in when it is saved) and `PrefixTuningConfig`.

use hub_schemas::method::{Method, PrefixConfig, PromptConfig, PromptPlace};
use serde_json::{Value, json};

use super::{super::fields::Fields, File};
use crate::checkpoint::CheckpointError;

/// The one tensor of such a file.
const EMBEDDINGS: &str = "prompt_embeddings";

/// What only matters when the prompt is made.
const MAKING: &[&str] = &[
    "encoder_dropout",
    "encoder_hidden_size",
    "encoder_num_layers",
    "encoder_reparameterization_type",
    "init_weights",
    "num_attention_heads",
    "num_layers",
    "prefix_projection",
    "prompt_tuning_init",
    "prompt_tuning_init_text",
    "token_dim",
    "tokenizer_kwargs",
    "tokenizer_name_or_path",
];

pub(super) fn parse(
    fields: &mut Fields,
    file: &File<'_>,
    is_prefix: bool,
    task_type: Option<&str>,
) -> Result<Method, CheckpointError> {
    let drops_token_types = matches!(task_type, Some("FEATURE_EXTRACTION" | "QUESTION_ANS"));
    fields.ignore(MAKING);
    let stored = fields.count("num_transformer_submodules")?.unwrap_or(1);
    if !(1..=2).contains(&stored) {
        return Err(fields.wrong("num_transformer_submodules", format!("is {stored}; 1 or 2 is supported")));
    }
    let stated = fields.count("num_virtual_tokens")?;
    let rows = file.weights.header.tensors.get(EMBEDDINGS).and_then(|info| info.shape.first().copied());
    let rows = rows.map(|rows| if is_prefix { rows } else { rows / stored });
    let length = stated.or(rows).ok_or_else(|| fields.wrong("num_virtual_tokens", "is missing"))?;
    Ok(if is_prefix {
        Method::Prefix(PrefixConfig {
            shifts_positions: true,
            drops_token_types,
            encoder_prefix: stored == 1,
            cross_prefix: stored == 1,
            ..PrefixConfig::flat(length)
        })
    } else {
        let place = PromptPlace::Words;
        Method::Prompt(PromptConfig { drops_token_types, stored, ..PromptConfig::new(length, place) })
    })
}

pub(super) fn prompt(config: &PromptConfig) -> Value {
    json!({
        "num_transformer_submodules": config.stored,
        "num_virtual_tokens": config.prompt_length,
        "peft_type": "PROMPT_TUNING",
        "prompt_tuning_init": "RANDOM",
    })
}

pub(super) fn prefix(config: &PrefixConfig) -> Value {
    json!({
        "num_transformer_submodules": if config.encoder_prefix { 1 } else { 2 },
        "num_virtual_tokens": config.prefix_length,
        "peft_type": "PREFIX_TUNING",
        "prefix_projection": false,
    })
}
