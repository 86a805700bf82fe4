//! Adapter methods, each written once against the hook points of `backbones`.

mod bottleneck;
mod lora;

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::{BackboneShape, LinearSite, SubLayer},
    layout::Slot,
    method::Method,
};

use crate::{backbones::Context, init::Initialiser, ops::Norm};

/// A loaded adapter: what one method does at the hook points it uses.
///
/// A bottleneck's work at a sub-layer comes in two steps, so that compositions can
/// put several adapters between them: `inner` computes what replaces the
/// sub-layer's output, `finish` adds the residual and normalises, once.
pub trait Adapter: std::fmt::Debug + Send + Sync {
    /// What to add to a linear layer's output; `None` where this adapter does nothing.
    fn linear_delta(
        &self,
        _layer: usize,
        _site: LinearSite,
        _x: &Tensor,
        _context: &Context,
    ) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Whether this adapter works at a sub-layer.
    fn is_at(&self, _layer: usize, _sublayer: SubLayer) -> bool {
        false
    }

    /// What replaces the sub-layer's output `z`.
    fn inner(&self, at: &SubLayerInput<'_>, z: &Tensor) -> Result<Tensor> {
        let _ = at;
        Ok(z.clone())
    }

    /// From the last adapter's `inner` to the block's next state.
    fn finish(&self, at: &SubLayerInput<'_>, inner: &Tensor) -> Result<Tensor> {
        at.norm.forward_sum(inner, at.residual)
    }
}

/// Where a sub-layer adapter stands and what it sees besides the sub-layer's output.
#[derive(Debug, Clone, Copy)]
pub struct SubLayerInput<'a> {
    /// Index of the block.
    pub layer: usize,
    /// Which sub-layer.
    pub sublayer: SubLayer,
    /// What the residual connection carries, `[b, t, h]`.
    pub residual: &'a Tensor,
    /// The block's own norm at this place.
    pub norm: &'a Norm,
    /// The forward pass.
    pub context: &'a Context,
}

/// Builds the adapter of `method` on tensors by slot. `salt` keeps the dropout masks
/// of several adapters in one model apart.
pub fn build(
    method: &Method,
    shape: &BackboneShape,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Box<dyn Adapter>> {
    Ok(match method {
        Method::Bottleneck(config) => Box::new(bottleneck::Bottleneck::new(config, shape, tensors, salt)?),
        Method::Lora(config) => Box::new(lora::Lora::new(config, shape, tensors, salt)?),
        Method::LastLayer => Box::new(NoAdapter),
    })
}

/// How a fresh tensor of `method` is drawn.
pub fn initialiser(method: &Method, slot: &Slot) -> Initialiser {
    match method {
        Method::Bottleneck(config) => bottleneck::initialiser(config, &slot.name),
        Method::Lora(_) => lora::initialiser(&slot.name),
        Method::LastLayer => Initialiser::Constant(0.0),
    }
}

/// Training only the head changes nothing inside the backbone.
#[derive(Debug)]
struct NoAdapter;

impl Adapter for NoAdapter {}

/// A tensor that must be there.
fn take(tensors: &BTreeMap<String, Tensor>, slot: &str) -> Result<Tensor> {
    match tensors.get(slot) {
        Some(tensor) => Ok(tensor.clone()),
        None => candle_core::bail!("the adapter has no tensor for `{slot}`"),
    }
}
