//! `1_Pooling/config.json`: which vector of a text it is.

use std::path::Path;

use hub_schemas::head::Pooling;

use super::fields_of;
use crate::checkpoint::{CheckpointError, fields::Fields};

/// A switch for every mode, until version 5.3, in the order in which their vectors stand side by side.
const SWITCHES: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// The pooling, and whether a prompt in front of the text is a part of what is pooled.
pub(super) fn read(path: &Path) -> Result<(Pooling, bool), CheckpointError> {
    let Some(mut fields) = fields_of(path)? else {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(CheckpointError::read(path)(source));
    };
    // How wide it is says the backbone.
    for width in ["word_embedding_dimension", "embedding_dimension"] {
        fields.count(width)?;
    }
    let modes = modes(&mut fields)?;
    let pooling = match modes.as_slice() {
        [mode] => named(mode).ok_or_else(|| {
            let known: Vec<_> = SWITCHES.iter().map(|(_, mode)| format!("`{mode}`")).collect();
            fields.wrong("pooling_mode", format!("is {mode:?}; computed here are {}", known.join(", ")))
        })?,
        several => {
            let reason = format!(
                "puts {} vectors side by side: {}; one is computed here",
                several.len(),
                several.join(", ")
            );
            return Err(fields.wrong("pooling_mode", reason));
        }
    };
    let includes_prompt = fields.bool_or("include_prompt", true)?;
    fields.finish()?;
    Ok((pooling, includes_prompt))
}

/// The modes that are switched on, the mean where none is: `pooling_mode` where it is there, else a switch for each.
fn modes(fields: &mut Fields) -> Result<Vec<String>, CheckpointError> {
    let mut switched = Vec::new();
    for (switch, mode) in SWITCHES {
        if fields.bool_or(switch, false)? {
            switched.push(mode.to_owned());
        }
    }
    let stated = match fields.peek("pooling_mode") {
        Some(value) if value.is_array() => fields.texts("pooling_mode")?,
        _ => fields.text("pooling_mode")?.map(|mode| vec![mode]),
    };
    match stated {
        Some(stated) => Ok(stated),
        None if switched.is_empty() => Ok(vec!["mean".to_owned()]),
        None => Ok(switched),
    }
}

fn named(mode: &str) -> Option<Pooling> {
    Some(match mode {
        "cls" => Pooling::First,
        "max" => Pooling::Max,
        "mean" => Pooling::Mean,
        "mean_sqrt_len_tokens" => Pooling::MeanSqrtLen,
        "weightedmean" => Pooling::WeightedMean,
        "lasttoken" => Pooling::Last,
        _ => return None,
    })
}
