//! What a bottleneck does at a sub-layer, in three steps, so that compositions can
//! put several of them between the first and the last.

use candle_core::{Result, Tensor};
use hub_schemas::method::HookedAt;

use crate::backbones::SubLayerInput;

/// Where a bottleneck starts from.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the down-projection reads, `[b, t, h]`.
    pub input: Tensor,
    /// What the adapter's own residual connection carries, `[b, t, h]`.
    pub residual: Tensor,
}

/// What a bottleneck gives.
#[derive(Debug, Clone)]
pub struct Exit {
    /// The adapter's output with its own residual, `[b, t, h]`.
    pub output: Tensor,
    /// The scaled up-projection alone, before dropout, gate and residual: what
    /// `AdapterFusion` attends to, `[b, t, h]`.
    pub up: Tensor,
}

/// A bottleneck at one sub-layer.
pub trait SubLayerAdapter: std::fmt::Debug {
    /// What it has for a residual and for a norm where it hangs on the sub-layer's last projection; `None` where it
    /// stands behind the sub-layer.
    fn hooked(&self) -> Option<HookedAt> {
        None
    }

    /// From the sub-layer's output `z` to the adapter's input and inner residual.
    fn enter(&self, at: &SubLayerInput<'_>, z: &Tensor) -> Result<Entry>;

    /// What `AdapterFusion` queries with: `z` itself (`before_norm`) or the adapter's input.
    fn query(&self, at: &SubLayerInput<'_>, z: &Tensor, entry: &Entry, before_norm: bool) -> Result<Tensor>;

    /// The adapter itself.
    fn forward(&self, at: &SubLayerInput<'_>, entry: &Entry) -> Result<Exit>;

    /// From the last adapter's `output` to the block's next state; `z` is the
    /// sub-layer's output.
    fn leave(&self, at: &SubLayerInput<'_>, z: &Tensor, output: &Tensor) -> Result<Tensor>;
}
