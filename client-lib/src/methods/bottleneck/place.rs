//! The bottleneck after one sub-layer.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor};
use hub_schemas::{
    backbone::SubLayer,
    method::{BottleneckConfig, HookedAt, InnerResidual, Scaling},
};

use super::{super::affine::Affine, non_linearity::NonLinearity, projection::Projection};
use crate::{
    backbones::{Mode, SubLayerInput},
    methods::{
        Entry, Exit, SubLayerAdapter,
        gate::{Gate, GateMean},
        take,
    },
    ops::sum,
};

/// Keeps the masks of stochastic depth apart from those of dropout.
const DEPTH: u64 = 1 << 16;

/// The tensors at one sub-layer, and what the configuration says about them.
#[derive(Debug)]
pub(super) struct Place {
    config: BottleneckConfig,
    hooked: Option<HookedAt>,
    down: Projection,
    up: Projection,
    scaling: Factor,
    inner: NonLinearity,
    gate: Option<Gate>,
    norm_before: Option<Affine>,
    norm_after: Option<Affine>,
    site: u64,
}

#[derive(Debug)]
enum Factor {
    One,
    Fixed(f64),
    Learned(Tensor),
}

impl Place {
    pub(super) fn new(
        config: &BottleneckConfig,
        (layer, sublayer): (usize, SubLayer),
        tensors: &BTreeMap<String, Tensor>,
        mean: GateMean,
        site: u64,
    ) -> Result<Self> {
        let at = format!("layers.{layer}.{}", sublayer.as_str());
        let norm = |wanted: bool, name: &str| {
            wanted.then(|| Affine::take(tensors, &format!("{at}.{name}"))).transpose()
        };
        let scaling = match config.scaling {
            Scaling::Fixed(factor) if factor.to_bits() == 1f64.to_bits() => Factor::One,
            Scaling::Fixed(factor) => Factor::Fixed(factor),
            Scaling::Learned | Scaling::Channel => Factor::Learned(take(tensors, &format!("{at}.scaling"))?),
        };
        let gate = config.use_gating.then(|| Gate::take(tensors, &at, mean)).transpose()?;
        let phm = config.phm.as_ref();
        Ok(Self {
            config: config.clone(),
            hooked: config.hooked.and_then(|hooked| hooked.at(sublayer)),
            down: Projection::take(tensors, &at, "down", phm)?,
            up: Projection::take(tensors, &at, "up", phm)?,
            scaling,
            inner: NonLinearity::take(config.non_linearity, tensors, &at)?,
            gate,
            norm_before: norm(config.ln_before, "norm_before")?,
            norm_after: norm(config.ln_after, "norm_after")?,
            site,
        })
    }

    /// The scaled up-projection.
    fn up(&self, at: &SubLayerInput<'_>, input: &Tensor) -> Result<Tensor> {
        let t = match &self.norm_before {
            Some(norm) => norm.norm(input)?,
            None => input.clone(),
        };
        let down = self.down.forward(&t)?;
        let up = self.drop_path(&self.up.forward(&self.inner.forward(&down)?)?, at.context.mode)?;
        match &self.scaling {
            Factor::One => Ok(up),
            Factor::Fixed(factor) => up * *factor,
            Factor::Learned(factor) => up.broadcast_mul(factor),
        }
    }

    /// Stochastic depth (Huang et al. 2016), by example.
    fn drop_path(&self, up: &Tensor, mode: Mode) -> Result<Tensor> {
        let p = self.config.stochastic_depth;
        if mode == Mode::Eval || p <= 0.0 || self.config.is_parallel {
            return Ok(up.clone());
        }
        let ones = Tensor::ones((up.dim(0)?, 1, 1), DType::F32, up.device())?.to_dtype(up.dtype())?;
        up.broadcast_mul(&mode.dropout(&ones, p, self.site | DEPTH)?)
    }

    fn with_residual(&self, e: &Tensor, residual: &Tensor) -> Result<Tensor> {
        match (&self.norm_after, self.config.is_parallel) {
            (None, true) => Ok(e.clone()),
            (Some(norm), true) => norm.norm(e),
            (None, false) => sum(e, residual),
            (Some(norm), false) if self.config.adapter_residual_before_ln => norm.norm(&sum(e, residual)?),
            (Some(norm), false) => sum(&norm.norm(e)?, residual),
        }
    }
}

impl SubLayerAdapter for Place {
    fn hooked(&self) -> Option<HookedAt> {
        self.hooked
    }

    fn enter(&self, at: &SubLayerInput<'_>, z: &Tensor) -> Result<Entry> {
        let config = &self.config;
        if config.is_parallel {
            return Ok(Entry { input: at.residual.clone(), residual: at.residual.clone() });
        }
        let input = if config.original_ln_before { at.join(z)? } else { z.clone() };
        let residual = match config.residual_before_ln {
            InnerResidual::AdapterInput => input.clone(),
            InnerResidual::PostAdd if config.original_ln_before => sum(z, at.residual)?,
            InnerResidual::PostAdd | InnerResidual::SubLayerOutput => z.clone(),
        };
        Ok(Entry { input, residual })
    }

    fn query(&self, at: &SubLayerInput<'_>, z: &Tensor, entry: &Entry, before_norm: bool) -> Result<Tensor> {
        Ok(match (self.config.is_parallel, before_norm) {
            (true, _) => at.residual.clone(),
            (false, true) => z.clone(),
            (false, false) => entry.input.clone(),
        })
    }

    fn forward(&self, at: &SubLayerInput<'_>, entry: &Entry) -> Result<Exit> {
        let up = self.up(at, &entry.input)?;
        let mut e = at.context.mode.dropout(&up, self.config.dropout, self.site)?;
        if let Some(gate) = &self.gate {
            e = e.broadcast_mul(&gate.open(&entry.input, at.context)?)?;
        }
        Ok(Exit { output: self.with_residual(&e, &entry.residual)?, up })
    }

    fn leave(&self, at: &SubLayerInput<'_>, z: &Tensor, output: &Tensor) -> Result<Tensor> {
        let output = if self.config.is_parallel { sum(output, z)? } else { output.clone() };
        if self.config.original_ln_after { at.finish(&output) } else { Ok(output) }
    }
}
