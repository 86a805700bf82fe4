//! `OFTConfig`, `BOFTConfig`, `HRAConfig` and `RoadConfig`.

use hub_schemas::{
    backbone::{Architecture, BackboneShape},
    method::{BoftConfig, HraConfig, Method, OftBlocks, OftConfig, RoadConfig, RoadVariant},
};
use serde_json::{Value, json};

use super::{
    super::fields::Fields,
    File,
    targets::{ModuleFilter, every_target, render_targets},
};
use crate::checkpoint::CheckpointError;

pub(super) fn oft(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    fields.ignore(&["fan_in_fan_out", "module_dropout"]);
    let size = fields.count("oft_block_size")?.unwrap_or(32);
    let blocks = blocks(fields, "oft_block_size", size, "r")?;
    let terms = fields.count("num_cayley_neumann_terms")?.unwrap_or(5);
    let neumann_terms = fields.bool_or("use_cayley_neumann", true)?.then_some(terms);
    let eps = fields.number("eps")?.unwrap_or(6e-5);
    let eps = fields.bool_or("coft", false)?.then_some(eps);
    let block_share = fields.bool_or("block_share", false)?;
    let targets = ModuleFilter::linears(fields, file)?;
    Ok(Method::Oft(OftConfig { targets, blocks, block_share, neumann_terms, eps }))
}

pub(super) fn boft(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    fields.ignore(&["fan_in_fan_out", "boft_dropout"]);
    let size = fields.count("boft_block_size")?.unwrap_or(4);
    let blocks = blocks(fields, "boft_block_size", size, "boft_block_num")?;
    let targets = ModuleFilter::linears(fields, file)?;
    let stated = fields.count("boft_n_butterfly_factor")?.unwrap_or(1);
    // Without CUDA PEFT makes, saves and loads one factor whatever the configuration says.
    let held = targets.iter().find_map(|module| {
        let name = format!("base_model.model.{}.boft_R", file.path(module));
        file.weights.header.tensors.get(&name).and_then(|info| info.shape.first().copied())
    });
    let factors = held.filter(|&held| held == 1).unwrap_or(stated);
    Ok(Method::Boft(BoftConfig { targets, blocks, factors }))
}

pub(super) fn hra(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    Ok(Method::Hra(HraConfig {
        r: fields.count("r")?.unwrap_or(8),
        gram_schmidt: fields.bool_or("apply_GS", false)?,
        targets: ModuleFilter::linears(fields, file)?,
    }))
}

pub(super) fn road(fields: &mut Fields, file: &File<'_>) -> Result<Method, CheckpointError> {
    let variant = match fields.text("variant")?.as_deref() {
        None | Some("road_1") => RoadVariant::One,
        Some("road_2") => RoadVariant::Two,
        Some("road_4") => RoadVariant::Four,
        Some(other) => {
            let reason = format!("is `{other}`; it is `road_1`, `road_2` or `road_4`");
            return Err(fields.wrong("variant", reason));
        }
    };
    Ok(Method::Road(RoadConfig {
        variant,
        group_size: fields.count("group_size")?.unwrap_or(64),
        targets: ModuleFilter::linears(fields, file)?,
    }))
}

/// Size or number of the blocks: exactly one of two fields is zero.
fn blocks(
    fields: &mut Fields,
    by_size: &str,
    size: usize,
    by_count: &str,
) -> Result<OftBlocks, CheckpointError> {
    match (size, fields.count(by_count)?.unwrap_or(0)) {
        (0, 0) => {
            Err(fields.wrong(by_size, format!("is 0 and so is `{by_count}`; one of them sets the blocks")))
        }
        (size, 0) => Ok(OftBlocks::Size(size)),
        (0, count) => Ok(OftBlocks::Count(count)),
        (size, count) => {
            let reason =
                format!("is {size} and `{by_count}` is {count}; only one of them may set the blocks");
            Err(fields.wrong(by_size, reason))
        }
    }
}

pub(super) fn render_oft(architecture: Architecture, config: &OftConfig, shape: &BackboneShape) -> Value {
    let (size, count) = size_and_count(config.blocks);
    let mut json = json!({
        "bias": "none",
        "block_share": config.block_share,
        "coft": config.eps.is_some(),
        "eps": config.eps.unwrap_or(6e-5),
        "fan_in_fan_out": false,
        "init_weights": true,
        "module_dropout": 0.0,
        "num_cayley_neumann_terms": config.neumann_terms.unwrap_or(5),
        "oft_block_size": size,
        "peft_type": "OFT",
        "r": count,
        "use_cayley_neumann": config.neumann_terms.is_some(),
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    json
}

pub(super) fn render_boft(architecture: Architecture, config: &BoftConfig, shape: &BackboneShape) -> Value {
    let (size, count) = size_and_count(config.blocks);
    let mut json = json!({
        "bias": "none",
        "boft_block_num": count,
        "boft_block_size": size,
        "boft_dropout": 0.0,
        "boft_n_butterfly_factor": config.factors,
        "fan_in_fan_out": false,
        "init_weights": true,
        "peft_type": "BOFT",
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    json
}

pub(super) fn render_hra(architecture: Architecture, config: &HraConfig, shape: &BackboneShape) -> Value {
    let mut json = json!({
        "apply_GS": config.gram_schmidt,
        "bias": "none",
        "init_weights": true,
        "peft_type": "HRA",
        "r": config.r,
    });
    render_targets(&mut json, architecture, &config.targets, shape);
    json
}

pub(super) fn render_road(architecture: Architecture, config: &RoadConfig, shape: &BackboneShape) -> Value {
    json!({
        "group_size": config.group_size,
        "init_weights": true,
        "peft_type": "ROAD",
        "target_modules": every_target(architecture, &config.targets, shape),
        "variant": config.variant.as_str(),
    })
}

fn size_and_count(blocks: OftBlocks) -> (usize, usize) {
    match blocks {
        OftBlocks::Size(size) => (size, 0),
        OftBlocks::Count(count) => (0, count),
    }
}
