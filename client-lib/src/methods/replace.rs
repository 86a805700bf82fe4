//! Trained copies of the backbone's tensors: they start as the tensors themselves.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::method::ReplaceConfig;

use super::{Adapter, take};

/// The copies by canonical name.
#[derive(Debug)]
pub(super) struct Replace(BTreeMap<String, Tensor>);

impl Replace {
    pub(super) fn new(config: &ReplaceConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let copy = |name: &String| Ok((name.clone(), take(tensors, &slot(name))?));
        config.tensors.iter().map(copy).collect::<Result<_>>().map(Self)
    }
}

/// The slot of a canonical name: `layers.3.query.bias` to `layers.3.query.replaced.bias`.
fn slot(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((module, part @ ("weight" | "bias"))) => format!("{module}.replaced.{part}"),
        _ => format!("{name}.replaced"),
    }
}

impl Adapter for Replace {
    fn replaced(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }
}
