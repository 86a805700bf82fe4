//! Adapters at the hook points of a backbone.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::backbone::{LinearSite, SubLayer};

use super::Composition;
use crate::{
    backbones::{Context, Hooks},
    methods::{Adapter, SubLayerInput},
    ops::Norm,
};

/// Why adapters can't be put together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StitchError {
    /// The expression names an adapter that was not given.
    #[error("the composition names `{name}`; these adapters are given: {given}")]
    Unknown {
        /// The name.
        name: String,
        /// The names that would do.
        given: String,
    },
    /// A block of a later version.
    #[error("the composition block `{0}` is not supported in this version; a single adapter and `Stack` are")]
    Unsupported(String),
}

/// Adapters in the order in which they apply.
///
/// At a linear layer the updates of all of them add up. (The `adapters` library
/// multiplies stacked LoRAs, so that stacking a fresh one switches the others off;
/// here a fresh one changes nothing.) At a sub-layer each works on the output of
/// the one before, and the last one present adds the residual.
#[derive(Debug, Default)]
pub struct Stitch {
    adapters: Vec<Box<dyn Adapter>>,
}

impl Stitch {
    /// One adapter.
    pub fn single(adapter: Box<dyn Adapter>) -> Self {
        Self { adapters: vec![adapter] }
    }

    /// The adapters that `composition` names, in its order.
    pub fn compose(
        composition: &Composition,
        mut given: BTreeMap<String, Box<dyn Adapter>>,
    ) -> std::result::Result<Self, StitchError> {
        let all: Vec<String> = given.keys().cloned().collect();
        refuse_unsupported(composition)?;
        let mut take = |name: &str| {
            given
                .remove(name)
                .ok_or_else(|| StitchError::Unknown { name: name.to_owned(), given: all.join(", ") })
        };
        let adapters =
            composition.names().into_iter().map(&mut take).collect::<std::result::Result<_, _>>()?;
        Ok(Self { adapters })
    }
}

fn refuse_unsupported(composition: &Composition) -> std::result::Result<(), StitchError> {
    match composition {
        Composition::Single(_) => Ok(()),
        Composition::Stack(children) => children.iter().try_for_each(refuse_unsupported),
        Composition::Other { block, .. } => Err(StitchError::Unsupported(block.clone())),
    }
}

impl Hooks for Stitch {
    fn linear(
        &self,
        layer: usize,
        site: LinearSite,
        x: &Tensor,
        y: Tensor,
        context: &Context,
    ) -> Result<Tensor> {
        let mut y = y;
        for adapter in &self.adapters {
            if let Some(delta) = adapter.linear_delta(layer, site, x, context)? {
                y = (y + delta)?;
            }
        }
        Ok(y)
    }

    fn sublayer(
        &self,
        layer: usize,
        sublayer: SubLayer,
        z: Tensor,
        residual: &Tensor,
        norm: &Norm,
        context: &Context,
    ) -> Result<Tensor> {
        let at = SubLayerInput { layer, sublayer, residual, norm, context };
        let mut present = self.adapters.iter().filter(|a| a.is_at(layer, sublayer)).peekable();
        let mut inner = z;
        while let Some(adapter) = present.next() {
            inner = adapter.inner(&at, &inner)?;
            if present.peek().is_none() {
                return adapter.finish(&at, &inner);
            }
        }
        norm.forward_sum(&inner, residual)
    }
}
