//! `PrefixTuningConfig` and `PromptTuningConfig`.

use hub_schemas::method::{PrefixConfig, PromptConfig, PromptPlace};
use serde_json::{Value, json};

use super::Reading;
use crate::checkpoint::{CheckpointError, fields::Fields};

pub(super) fn parse_prefix(
    reading: &Reading<'_>,
    mut fields: Fields,
) -> Result<PrefixConfig, CheckpointError> {
    fields.ignore(&["init_weights_seed"]);
    let flat = fields.bool_or("flat", false)?;
    let inner = fields.count("bottleneck_size")?.unwrap_or(512);
    let activation = fields.text("non_linearity")?.unwrap_or_else(|| "tanh".to_owned());
    let config = PrefixConfig {
        prefix_length: fields.count("prefix_length")?.unwrap_or(30),
        bottleneck_size: (!flat).then_some(inner),
        non_linearity: reading.activation(&fields, "non_linearity", &activation)?,
        dropout: fields.number("dropout")?.unwrap_or(0.0),
        leave_out: fields.counts("leave_out")?.unwrap_or_default(),
        use_gating: fields.bool_or("use_gating", false)?,
        shared_gating: fields.bool_or("shared_gating", true)?,
        shifts_positions: false,
        drops_token_types: false,
        encoder_prefix: fields.bool_or("encoder_prefix", true)?,
        cross_prefix: fields.bool_or("cross_prefix", true)?,
    };
    fields.finish()?;
    Ok(config)
}

pub(super) fn parse_prompt(mut fields: Fields) -> Result<PromptConfig, CheckpointError> {
    fields.ignore(&["prompt_init", "prompt_init_text", "random_uniform_scale", "init_weights_seed"]);
    let place = match fields.text("combine")?.as_deref() {
        None | Some("prefix") => PromptPlace::AfterEmbeddings,
        Some("prefix_after_bos") => PromptPlace::AfterFirstToken,
        Some(other) => {
            let reason = format!("is `{other}`; prefix and prefix_after_bos are supported");
            return Err(fields.wrong("combine", reason));
        }
    };
    let prompt_length = fields.count("prompt_length")?.unwrap_or(10);
    fields.finish()?;
    Ok(PromptConfig::new(prompt_length, place))
}

pub(super) fn prefix(config: &PrefixConfig) -> Value {
    json!({
        "architecture": "prefix_tuning",
        "bottleneck_size": config.bottleneck_size.unwrap_or(512),
        "cross_prefix": config.cross_prefix,
        "dropout": config.dropout,
        "encoder_prefix": config.encoder_prefix,
        "flat": config.bottleneck_size.is_none(),
        "leave_out": config.leave_out,
        "non_linearity": config.non_linearity.as_str(),
        "prefix_length": config.prefix_length,
        "shared_gating": config.shared_gating,
        "use_gating": config.use_gating,
    })
}

pub(super) fn prompt(config: &PromptConfig) -> Value {
    let combine = if config.place == PromptPlace::AfterFirstToken { "prefix_after_bos" } else { "prefix" };
    json!({
        "architecture": "prompt_tuning",
        "combine": combine,
        "prompt_init": "random_uniform",
        "prompt_init_text": null,
        "prompt_length": config.prompt_length,
    })
}
