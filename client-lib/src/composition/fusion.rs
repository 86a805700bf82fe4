//! `AdapterFusion` (Pfeiffer et al. 2021): attention over what several bottlenecks give.
//!
//! With the up-projections `up_c` of the members, the query `Q` and residual `r` of the
//! last one: `q = W_q Q + b_q`, `k_c = W_k up_c + b_k`, `v_c = W_v up_c`,
//! `p = softmax_c(q · k_c)` (not scaled by `1/√d`), and the result `Σ_c p_c v_c + r`.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::{backbone::SubLayer, method::FusionConfig};

use crate::{backbones::Mode, ops::linear};

/// Keeps a fusion's dropout masks apart from those of adapters.
const SITE: u64 = 1 << 62;

/// Where `adapters` starts when the temperature falls with every pass. It does not save how
/// far it fell, so a loaded fusion starts here again.
const FIRST_TEMPERATURE: f64 = 50.0;

/// A loaded fusion: its projections at every sub-layer.
#[derive(Debug)]
pub struct Fusion {
    config: FusionConfig,
    places: BTreeMap<(usize, SubLayer), Projections>,
    dropout: f64,
    temperature: f64,
}

#[derive(Debug)]
struct Projections {
    query: Option<(Tensor, Tensor)>,
    key: Option<(Tensor, Tensor)>,
    value: Option<Tensor>,
}

/// What a fusion mixes at one sub-layer.
pub(super) struct Mixture<'a> {
    /// Index of the block and sub-layer.
    pub(super) place: (usize, SubLayer),
    /// `Q [b, t, h]`
    pub(super) query: &'a Tensor,
    /// `up_c [b, t, h]` of every member.
    pub(super) ups: &'a [Tensor],
    /// `r [b, t, h]`
    pub(super) residual: &'a Tensor,
    /// Whether this is training.
    pub(super) mode: Mode,
}

impl Fusion {
    /// Builds a fusion on tensors by slot. `dropout` is the backbone's own for attention.
    pub fn new(
        config: &FusionConfig,
        places: &[(usize, SubLayer)],
        tensors: &BTreeMap<String, Tensor>,
        dropout: f64,
    ) -> Result<Self> {
        let mut built = BTreeMap::new();
        for &(layer, sublayer) in places {
            let take = |part: &str| {
                let slot = format!("layers.{layer}.{}.fusion.{part}", sublayer.as_str());
                tensors
                    .get(&slot)
                    .cloned()
                    .ok_or_else(|| candle_core::Error::Msg(format!("the fusion has no tensor for `{slot}`")))
            };
            let affine = |name: &str| -> Result<(Tensor, Tensor)> {
                Ok((take(&format!("{name}.weight"))?, take(&format!("{name}.bias"))?))
            };
            let projections = Projections {
                query: config.query.then(|| affine("query")).transpose()?,
                key: config.key.then(|| affine("key")).transpose()?,
                value: config.value.then(|| take("value.weight")).transpose()?,
            };
            built.insert((layer, sublayer), projections);
        }
        let dropout = config.dropout_prob.unwrap_or(dropout);
        let temperature = if config.temperature { FIRST_TEMPERATURE } else { 1.0 };
        Ok(Self { config: config.clone(), places: built, dropout, temperature })
    }

    /// Whether the query is the sub-layer's output rather than the adapter's input.
    pub(super) fn query_before_norm(&self) -> bool {
        self.config.query_before_ln
    }

    /// The mixture `[b, t, h]`, and how much of it each member has, `[b, t, members]`.
    pub(super) fn mix(&self, mixture: &Mixture<'_>) -> Result<(Tensor, Tensor)> {
        let Some(here) = self.places.get(&mixture.place) else {
            candle_core::bail!("the fusion has no projections at layer {}", mixture.place.0);
        };
        let ups = Tensor::stack(mixture.ups, 2)?;
        let mut values = ups.clone();
        if self.config.residual_before {
            values = values.broadcast_add(&mixture.residual.unsqueeze(2)?)?;
        }
        // The library adds the residual in place, to the keys as well.
        let keys = if self.config.residual_before { &values } else { &ups };
        let keys = project(keys, here.key.as_ref())?;
        let query = project(mixture.query, here.query.as_ref())?;
        let scores = keys.broadcast_mul(&query.unsqueeze(2)?)?.sum(D::Minus1)?;
        let shares = softmax(&(self.dropped(&scores, mixture)? / self.temperature)?)?;
        let mix = |values: &Tensor| values.broadcast_mul(&shares.unsqueeze(3)?)?.sum(2);
        let mixed = match (&here.value, self.config.value_before_softmax) {
            (Some(weight), true) => mix(&linear(&values, weight, None)?)?,
            (Some(weight), false) => linear(&mix(&values)?, weight, None)?,
            (None, _) => mix(&values)?,
        };
        let mixed = if self.config.residual_before { mixed } else { (mixed + mixture.residual)? };
        Ok((mixed, shares))
    }

    fn dropped(&self, scores: &Tensor, mixture: &Mixture<'_>) -> Result<Tensor> {
        let (layer, sublayer) = mixture.place;
        mixture.mode.dropout(scores, self.dropout, SITE | (layer as u64) << 8 | sublayer as u64)
    }
}

fn project(x: &Tensor, affine: Option<&(Tensor, Tensor)>) -> Result<Tensor> {
    match affine {
        Some((weight, bias)) => linear(x, weight, Some(bias)),
        None => Ok(x.clone()),
    }
}

/// Over the last dimension.
fn softmax(x: &Tensor) -> Result<Tensor> {
    let exps = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)
}
