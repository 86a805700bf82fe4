//! `BeftConfig`, `C3AConfig`, `MissConfig` and `ShiraConfig`: updates whose elements are learned as they are, repeated
//! or few.

use hub_schemas::{
    backbone::{Architecture, BackboneShape, Targets},
    method::{BeftConfig, BlockPattern, C3aConfig, Method, MissConfig, MissForm, ShiraConfig},
};
use serde_json::{Map, Value, json};

use super::{
    super::fields::Fields,
    File,
    low_rank::pattern_key,
    path_regex::PathRegex,
    targets::{ModuleFilter, every_target, render_targets},
};
use crate::checkpoint::CheckpointError;

pub(super) fn beft(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    let targets = ModuleFilter::linears(fields, file)?;
    Ok(Method::Beft(BeftConfig { targets }))
}

pub(super) fn c3a(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    let block_size = fields.count("block_size")?.unwrap_or(256);
    let targets = ModuleFilter::linears(fields, file)?;
    let patterns = block_patterns(fields, file, &targets)?;
    Ok(Method::C3a(C3aConfig { block_size, targets, patterns }))
}

/// The targets for which `block_size_pattern` says something. Unlike other patterns of PEFT a key stands behind a dot,
/// or is the whole path.
fn block_patterns(
    fields: &mut Fields,
    file: &File<'_>,
    targets: &Targets,
) -> Result<Vec<BlockPattern>, CheckpointError> {
    const FIELD: &str = "block_size_pattern";
    let object = fields.object(FIELD)?.unwrap_or_default();
    let pattern = |(key, value): (String, Value)| {
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        let size = size.ok_or_else(|| fields.wrong(FIELD, format!("gives `{key}` no size")))?;
        let regex = PathRegex::new(fields, FIELD, &format!(r"^(?:.*\.{key}$)"))?;
        Ok((key, regex, size))
    };
    let known = object.into_iter().map(pattern).collect::<Result<Vec<_>, CheckpointError>>()?;
    let own = targets.iter().filter_map(|module| {
        let path = file.told_path(module);
        let matched = known.iter().find(|(_, regex, _)| regex.is_match(&path));
        let found = matched.or_else(|| known.iter().find(|(key, ..)| *key == path));
        found.map(|&(_, _, block_size)| BlockPattern { module, block_size })
    });
    let own = own.collect();
    known.iter().try_for_each(|(_, regex, _)| regex.check(fields, FIELD))?;
    Ok(own)
}

pub(super) fn miss(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    let mini_r = fields.count("mini_r")?.unwrap_or(1);
    let form = match fields.take("init_weights") {
        None | Some(Value::Bool(_)) => MissForm::Shared,
        Some(Value::String(name)) if name == "bat" => MissForm::Bat,
        Some(Value::String(name)) if name == "mini" => MissForm::Mini(mini_r),
        Some(other) => {
            return Err(
                fields.wrong("init_weights", format!("is {other}; it is a truth value, `bat` or `mini`"))
            );
        }
    };
    Ok(Method::Miss(MissConfig {
        r: fields.count("r")?.unwrap_or(64),
        form,
        targets: ModuleFilter::linears(fields, file)?,
        dropout: fields.number("miss_dropout")?.unwrap_or(0.0),
    }))
}

pub(super) fn shira(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    // How the elements were chosen: which they are, the file says.
    fields.ignore(&["mask_type", "random_seed", "fan_in_fan_out"]);
    Ok(Method::Shira(ShiraConfig {
        r: fields.count("r")?.unwrap_or(32),
        targets: ModuleFilter::linears(fields, file)?,
    }))
}

pub(super) fn render_beft(architecture: Architecture, config: &BeftConfig, shape: &BackboneShape) -> Value {
    json!({
        "init_weights": true,
        "peft_type": "BEFT",
        "target_modules": every_target(architecture, &config.targets, shape),
    })
}

pub(super) fn render_c3a(architecture: Architecture, config: &C3aConfig, shape: &BackboneShape) -> Value {
    let entry = |own: &BlockPattern| (pattern_key(architecture, own.module, shape), json!(own.block_size));
    let sizes: Map<String, Value> = config.patterns.iter().map(entry).collect();
    let mut json = json!({
        "bias": "none",
        "block_size": config.block_size,
        "block_size_pattern": sizes,
        "init_weights": "xavier_uniform",
        "peft_type": "C3A",
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    json
}

pub(super) fn render_miss(architecture: Architecture, config: &MissConfig, shape: &BackboneShape) -> Value {
    let (init_weights, mini_r) = match config.form {
        MissForm::Shared => (json!(true), 1),
        MissForm::Mini(rows) => (json!("mini"), rows),
        MissForm::Bat => (json!("bat"), 1),
    };
    let mut json = json!({
        "bias": "none",
        "init_weights": init_weights,
        "mini_r": mini_r,
        "miss_dropout": config.dropout,
        "peft_type": "MISS",
        "r": config.r,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    json
}

pub(super) fn render_shira(architecture: Architecture, config: &ShiraConfig, shape: &BackboneShape) -> Value {
    json!({
        "fan_in_fan_out": false,
        "init_weights": true,
        "mask_type": "random",
        "peft_type": "SHIRA",
        "r": config.r,
        "target_modules": every_target(architecture, &config.targets, shape),
    })
}
