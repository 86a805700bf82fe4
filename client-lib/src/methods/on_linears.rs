//! Methods that do the same at every linear layer they adapt.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::backbone::Module;

use super::{Adapter, Update};
use crate::backbones::LinearInput;

/// What such a method adds at one layer.
pub(super) trait Delta: std::fmt::Debug + Send + Sync {
    /// `ΔW x`, `[b, t, out]`, of `x [b, t, in]`, which dropout or an adapter before may have changed.
    fn delta(&self, x: &Tensor, at: &LinearInput<'_>) -> Result<Tensor>;
}

/// What such a method makes of one layer.
pub(super) trait Transform: std::fmt::Debug + Send + Sync {
    /// The layer's whole output, `[b, t, out]`.
    fn transform(&self, at: &LinearInput<'_>) -> Result<Tensor>;
}

/// A method that adds to outputs.
#[derive(Debug)]
pub(super) struct Additive<T> {
    pub(super) layers: BTreeMap<Module, T>,
    /// Probability of dropping an element of the update's input in training.
    pub(super) dropout: f64,
    pub(super) salt: u64,
}

impl<T: Delta> Adapter for Additive<T> {
    fn is_at(&self, module: Module) -> bool {
        self.layers.contains_key(&module)
    }

    fn update(&self, at: &LinearInput<'_>, input: &Tensor) -> Result<Option<Update>> {
        let Some(index) = self.layers.keys().position(|module| *module == at.module) else { return Ok(None) };
        let site = self.salt << 32 | 5 << 24 | index as u64;
        let x = at.context.mode.dropout(input, self.dropout, site)?;
        match self.layers.get(&at.module) {
            Some(layer) => layer.delta(&x, at).map(Update::Add).map(Some),
            None => Ok(None),
        }
    }
}

/// A method that changes weights or inputs.
#[derive(Debug)]
pub(super) struct Transforming<T>(pub(super) BTreeMap<Module, T>);

impl<T: Transform> Adapter for Transforming<T> {
    fn is_at(&self, module: Module) -> bool {
        self.0.contains_key(&module)
    }

    fn transforms(&self, module: Module) -> bool {
        self.is_at(module)
    }

    fn transform(&self, at: &LinearInput<'_>) -> Result<Option<Tensor>> {
        self.0.get(&at.module).map(|layer| layer.transform(at)).transpose()
    }
}

/// One `T` for each target.
pub(super) fn at_each<T>(
    targets: impl Iterator<Item = Module>,
    make: impl Fn(Module) -> Result<T>,
) -> Result<BTreeMap<Module, T>> {
    targets.map(|module| Ok((module, make(module)?))).collect()
}
