//! VeRA (Kopiczko et al. 2024): `y + Λ_b B Λ_d A dropout(x)`, `A` and `B` random, frozen and
//! shared by all layers, cut to each layer's size.
//!
//! Equal to PEFT 0.21. `adapters` 1.3.0 has square matrices in place of the diagonals
//! and scales by `α / r`.

use std::collections::BTreeMap;

use candle_core::{D, Result, Tensor};
use hub_schemas::{
    backbone::Module,
    layout::Slot,
    method::{Dora, VeraConfig, VeraScaling},
};

use super::{
    Adapter, Update,
    dora::{self, Decomposed},
    gate::{Gate, GateMean},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// The shared matrices and every layer's diagonals.
#[derive(Debug)]
pub(super) struct Vera {
    config: VeraConfig,
    a: Tensor,
    b: Tensor,
    layers: BTreeMap<Module, Layer>,
    salt: u64,
}

#[derive(Debug)]
struct Layer {
    d: Tensor,
    b: Tensor,
    gate: Option<Gate>,
    magnitude: Option<Tensor>,
    site: u64,
}

impl Vera {
    pub(super) fn new(
        config: &VeraConfig,
        tensors: &BTreeMap<String, Tensor>,
        mean: GateMean,
        salt: u64,
    ) -> Result<Self> {
        let mut layers = BTreeMap::new();
        for (index, module) in config.targets.iter().enumerate() {
            let at = module.to_string();
            let layer = Layer {
                d: take(tensors, &format!("{at}.lambda_d"))?,
                b: take(tensors, &format!("{at}.lambda_b"))?,
                gate: config.use_gating.then(|| Gate::take(tensors, &at, mean)).transpose()?,
                magnitude: (config.dora.map(|_| take(tensors, &format!("{at}.magnitude")))).transpose()?,
                site: index as u64,
            };
            layers.insert(module, layer);
        }
        let (a, b) = (take(tensors, "shared.vera_a")?, take(tensors, "shared.vera_b")?);
        Ok(Self { config: config.clone(), a, b, layers, salt })
    }

    /// `Λ_b B Λ_d A x`, `[.., outputs]`, without any scaling; `x [.., in]`.
    fn product(&self, layer: &Layer, x: &Tensor, outputs: usize) -> Result<Tensor> {
        let inputs = x.dim(D::Minus1)?;
        let a = self.a.narrow(1, 0, inputs)?.contiguous()?;
        let b = self.b.narrow(0, 0, outputs)?.contiguous()?;
        let narrow = linear(x, &a, None)?;
        match self.config.scaling {
            VeraScaling::Diagonal => {
                linear(&narrow.broadcast_mul(&layer.d)?, &b, None)?.broadcast_mul(&layer.b)
            }
            VeraScaling::Matrix => {
                linear(&linear(&linear(&narrow, &layer.d, None)?, &b, None)?, &layer.b, None)
            }
        }
    }

    fn delta(&self, layer: &Layer, at: &LinearInput<'_>, input: &Tensor) -> Result<Tensor> {
        let site = self.salt << 32 | 4 << 24 | layer.site;
        let x = at.context.mode.dropout(input, self.config.dropout, site)?;
        let y = self.product(layer, &x, at.linear.outputs()?)?;
        match &layer.gate {
            Some(gate) => y.broadcast_mul(&gate.open(at.x, at.context)?),
            None => y * self.factor(),
        }
    }

    /// `ΔW [out, in]`
    fn weight_update(&self, layer: &Layer, at: &LinearInput<'_>) -> Result<Tensor> {
        let eye = Tensor::eye(at.x.dim(D::Minus1)?, layer.b.dtype(), layer.b.device())?;
        // The rows of ΔWᵀ are what the identity's rows become.
        self.product(layer, &eye, at.linear.outputs()?)?.t()
    }

    fn factor(&self) -> f64 {
        self.config.alpha.map_or(1.0, |alpha| alpha / self.config.r as f64)
    }
}

impl Adapter for Vera {
    fn is_at(&self, module: Module) -> bool {
        self.layers.contains_key(&module)
    }

    fn transforms(&self, module: Module) -> bool {
        self.config.dora.is_some() && self.is_at(module)
    }

    /// `DVoRA`: `DoRA` on the update of `VeRA`.
    fn transform(&self, at: &LinearInput<'_>) -> Result<Option<Tensor>> {
        let Some(layer) = self.layers.get(&at.module) else { return Ok(None) };
        let Some((dora, magnitude)) = self.config.dora.zip(layer.magnitude.as_ref()) else { return Ok(None) };
        let update = self.weight_update(layer, at)?;
        let delta = self.delta(layer, at, at.x)?;
        dora::transform(dora, at, Decomposed { magnitude, update, factor: self.factor(), delta }).map(Some)
    }

    fn update(&self, at: &LinearInput<'_>, input: &Tensor) -> Result<Option<Update>> {
        let Some(layer) = self.layers.get(&at.module).filter(|l| l.magnitude.is_none()) else {
            return Ok(None);
        };
        self.delta(layer, at, input).map(Update::Add).map(Some)
    }

    fn decomposes(&self, module: Module) -> bool {
        self.config.dora == Some(Dora::Unscaled) && self.is_at(module)
    }

    fn undecomposed(&self, at: &LinearInput<'_>, input: &Tensor) -> Result<Option<Tensor>> {
        match self.layers.get(&at.module).filter(|l| l.magnitude.is_some()) {
            Some(layer) => self.delta(layer, at, input).map(Some),
            None => Ok(None),
        }
    }

    fn rescaled(&self, at: &LinearInput<'_>, y: &Tensor) -> Result<Option<Tensor>> {
        let Some(layer) = self.layers.get(&at.module) else { return Ok(None) };
        let Some(magnitude) = &layer.magnitude else { return Ok(None) };
        dora::rescale(at, magnitude, self.weight_update(layer, at)?, y).map(Some)
    }
}

/// Random matrices Kaiming-uniform (a = 0), diagonals constant.
pub(super) fn initialiser(config: &VeraConfig, slot: &Slot) -> Initialiser {
    let fan_in = slot.shape.last().copied().unwrap_or(1).max(1) as f64;
    match (slot.part.as_str(), config.scaling) {
        ("vera_a" | "vera_b", _) => Initialiser::Uniform { bound: (6.0 / fan_in).sqrt() },
        ("lambda_d", VeraScaling::Diagonal) => Initialiser::Constant(config.d_initial as f32),
        ("lambda_b", VeraScaling::Diagonal) => Initialiser::Constant(config.b_initial as f32),
        ("lambda_d", VeraScaling::Matrix) => Initialiser::Diagonal { value: config.d_initial as f32 },
        ("lambda_b", VeraScaling::Matrix) => Initialiser::Diagonal { value: config.b_initial as f32 },
        ("gate.weight", _) => Initialiser::Normal { std: 0.02 },
        _ => Initialiser::Constant(0.0),
    }
}
