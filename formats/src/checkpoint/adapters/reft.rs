//! `ReftConfig`.
//!
//! The library does not write whether the projection is subtracted, so a file of a
//! `DiReFT` adapter reads like one of a `NoReFT`. Only an orthogonal one is certain.

use hub_schemas::{backbone::Architecture, method::ReftConfig};
use serde_json::{Value, json};

use super::Reading;
use crate::checkpoint::{CheckpointError, fields::Fields};

/// Our own field: says what the library's file leaves open.
const SUBTRACT: &str = "subtract_projection";

pub(super) fn parse(reading: &Reading<'_>, mut fields: Fields) -> Result<ReftConfig, CheckpointError> {
    fields.ignore(&["dtype", "init_weights_seed"]);
    let is_on = fields.bool_or("output_reft", true)?;
    let layers = match fields.take("layers") {
        None => None,
        Some(Value::String(text)) if text == "all" => None,
        Some(Value::Array(items)) => {
            let indices: Option<Vec<usize>> =
                items.iter().map(|i| i.as_u64().and_then(|n| usize::try_from(n).ok())).collect();
            Some(indices.ok_or_else(|| fields.wrong("layers", "holds something other than layers"))?)
        }
        Some(_) => return Err(fields.wrong("layers", "is neither \"all\" nor a list of layers")),
    };
    let mut layers = if is_on { layers } else { Some(Vec::new()) };
    // The library counts the blocks that ALBERT's layers share, and passes over the numbers of others.
    if let Some(layers) = layers.as_mut().filter(|_| reading.architecture == Architecture::Albert) {
        layers.retain(|layer| *layer < reading.blocks.0);
    }
    let orthogonality = fields.bool_or("orthogonality", true)?;
    let subtract_projection = match fields.take(SUBTRACT) {
        Some(Value::Bool(stated)) => stated,
        _ if orthogonality || !is_on => true,
        _ => {
            let reason = "is missing: the library drops it, so that a DiReFT and a NoReFT adapter have the same file; add `\"subtract_projection\": true` (NoReFT) or `false` (DiReFT) to the configuration";
            return Err(fields.wrong(SUBTRACT, reason));
        }
    };
    let activation = fields.text("non_linearity")?;
    let config = ReftConfig {
        r: fields.count("r")?.unwrap_or(1),
        prefix_positions: fields.count("prefix_positions")?.unwrap_or(3),
        suffix_positions: fields.count("suffix_positions")?.unwrap_or(0),
        layers,
        orthogonality,
        tied_weights: fields.bool_or("tied_weights", false)?,
        subtract_projection,
        non_linearity: activation
            .map(|name| reading.activation(&fields, "non_linearity", &name))
            .transpose()?,
        dropout: fields.number("dropout")?.unwrap_or(0.05),
    };
    fields.finish()?;
    Ok(config)
}

pub(super) fn json(config: &ReftConfig) -> Value {
    json!({
        "architecture": "reft",
        "dropout": config.dropout,
        "layers": config.layers.as_ref().map_or_else(|| json!("all"), |layers| json!(layers)),
        "non_linearity": config.non_linearity.map(hub_schemas::method::Activation::as_str),
        "orthogonality": config.orthogonality,
        "output_reft": true,
        "prefix_positions": config.prefix_positions,
        "r": config.r,
        SUBTRACT: config.subtract_projection,
        "suffix_positions": config.suffix_positions,
        "tied_weights": config.tied_weights,
    })
}
