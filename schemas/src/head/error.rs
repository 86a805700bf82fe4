//! Heads that can't be, and the bounds that foreign numbers are held to.

/// Most classes a head may tell apart.
pub(super) const MAX_LABELS: usize = 100_000;
/// Most linear layers a head may have.
const MAX_LAYERS: usize = 8;

/// A head that can't be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HeadError {
    /// Too few outputs, or absurdly many.
    #[error("the head has {found} labels; a `{kind}` head has {least} to {MAX_LABELS}")]
    Labels {
        /// Which head.
        kind: &'static str,
        /// How many it has.
        found: usize,
        /// How many it needs.
        least: usize,
    },
    /// No layer, or absurdly many.
    #[error("the head has {0} layers; 1 to {MAX_LAYERS} are possible")]
    Layers(usize),
    /// Outside 0..1.
    #[error("the head's `dropout` is {0}; it must lie in 0 ≤ p < 1")]
    Dropout(f64),
    /// A dimension that no model has.
    #[error("the head's `{field}` is {found}; it must lie between 1 and {most}")]
    Size {
        /// Which dimension.
        field: &'static str,
        /// Its value.
        found: usize,
        /// The largest accepted value.
        most: usize,
    },
    /// The label names don't match the outputs.
    #[error("{names} label names are given for {labels} labels")]
    Names {
        /// How many names.
        names: usize,
        /// How many outputs.
        labels: usize,
    },
}

pub(super) fn check_outputs(kind: &'static str, found: usize, least: usize) -> Result<(), HeadError> {
    if (least..=MAX_LABELS).contains(&found) { Ok(()) } else { Err(HeadError::Labels { kind, found, least }) }
}

pub(super) fn check_layers(layers: usize) -> Result<(), HeadError> {
    if (1..=MAX_LAYERS).contains(&layers) { Ok(()) } else { Err(HeadError::Layers(layers)) }
}

pub(super) fn check_dropout(dropout: f64) -> Result<(), HeadError> {
    if (0.0..1.0).contains(&dropout) { Ok(()) } else { Err(HeadError::Dropout(dropout)) }
}

pub(super) fn check_size(field: &'static str, found: usize, most: usize) -> Result<(), HeadError> {
    if (1..=most).contains(&found) { Ok(()) } else { Err(HeadError::Size { field, found, most }) }
}
