//! `GraLoRA` (Jung et al. 2025): block `(m, n)` of the weight is updated by `s · B_m[s_n] A_n[s_m]`, where `s_i` is the
//! `i`-th of `k` parts of the rank. Equal to PEFT 0.21.
//!
//! With `hybrid_r` a plain low-rank update of that rank is added, under the same scaling.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{layout::Slot, method::GraloraConfig};

use super::{
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// `A [k, in / k, r]`, `B [k, r, out / k]` of one layer.
#[derive(Debug)]
pub(super) struct Blocks {
    a: Tensor,
    b: Tensor,
    /// `A [hybrid_r, in]`, `B [out, hybrid_r]`
    general: Option<(Tensor, Tensor)>,
    scaling: f64,
}

pub(super) fn load(
    config: &GraloraConfig,
    tensors: &BTreeMap<String, Tensor>,
    salt: u64,
) -> Result<Additive<Blocks>> {
    let layers = at_each(config.targets.iter(), |module| {
        let part = |name: &str| take(tensors, &format!("{module}.{name}"));
        let general =
            || Ok::<_, candle_core::Error>((part("gralora_a_general")?, part("gralora_b_general")?));
        Ok(Blocks {
            a: part("gralora_a")?,
            b: part("gralora_b")?,
            general: (config.hybrid_r > 0).then(general).transpose()?,
            scaling: config.scaling(),
        })
    })?;
    Ok(Additive { layers, dropout: config.dropout, salt })
}

impl Delta for Blocks {
    fn delta(&self, x: &Tensor, _at: &LinearInput<'_>) -> Result<Tensor> {
        let (b, t, _) = x.dims3()?;
        let (rows, (k, inputs, r)) = (b * t, self.a.dims3()?);
        let parts = x.reshape((rows, k, inputs))?.transpose(0, 1)?.contiguous()?;
        // From the input's block n, for each block m of the output: [n, rows, m, r / k].
        let narrow = parts.matmul(&self.a)?.reshape((k, rows, k, r / k))?;
        let exchanged = narrow.permute((2, 1, 0, 3))?.contiguous()?.reshape((k, rows, r))?;
        let wide = exchanged.matmul(&self.b)?.transpose(0, 1)?.contiguous()?.reshape((b, t, ()))?;
        let sum = match &self.general {
            None => wide,
            Some((a, b)) => (wide + linear(&linear(x, a, None)?, b, None)?)?,
        };
        sum * self.scaling
    }
}

/// `B` starts at zero: a fresh adapter changes nothing.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    match (slot.part.as_str(), slot.shape.as_slice()) {
        // The inputs of a block stand in the middle.
        ("gralora_a", &[_, inputs, _]) => Initialiser::Uniform { bound: 1.0 / (inputs as f64).sqrt() },
        ("gralora_a_general", _) => Initialiser::KaimingUniform,
        _ => Initialiser::Constant(0.0),
    }
}
