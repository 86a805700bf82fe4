//! A bottleneck's projections: linear, or parameterised hypercomplex (Compacter).
//!
//! Mahabadi et al. (2021): `y = x · H + b`, `H [in, out] = Σᵢ Aᵢ ⊗ Wᵢ`, so that
//! `H[a·in/n + p, c·out/n + q] = Σᵢ Aᵢ[a, c] · Wᵢ[p, q]`.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::method::PhmConfig;

use crate::{
    methods::{affine::Affine, take},
    ops::linear,
};

/// `[.., in]` to `[.., out]`.
#[derive(Debug)]
pub(super) enum Projection {
    Linear(Affine),
    Hypercomplex { rule: Product, weights: Product, bias: Option<Tensor> },
}

/// A stack of matrices, or two factors of it.
#[derive(Debug)]
pub(super) enum Product {
    Whole(Tensor),
    Factors(Tensor, Tensor),
}

impl Product {
    fn take(tensors: &BTreeMap<String, Tensor>, name: &str, factorized: bool) -> Result<Self> {
        if factorized {
            let part = |side: &str| take(tensors, &format!("{name}_{side}"));
            Ok(Self::Factors(part("left")?, part("right")?))
        } else {
            take(tensors, name).map(Self::Whole)
        }
    }

    fn value(&self) -> Result<Tensor> {
        match self {
            Self::Whole(tensor) => Ok(tensor.clone()),
            Self::Factors(left, right) => left.matmul(right),
        }
    }
}

impl Projection {
    /// The projection `part` (`down` or `up`) of the place `at`.
    pub(super) fn take(
        tensors: &BTreeMap<String, Tensor>,
        at: &str,
        part: &str,
        phm: Option<&PhmConfig>,
    ) -> Result<Self> {
        let Some(phm) = phm else { return Affine::take(tensors, &format!("{at}.{part}")).map(Self::Linear) };
        let rule =
            if phm.shared_phm_rule { "shared.phm.rule".to_owned() } else { format!("{at}.{part}.rule") };
        let weights = if phm.shared_w { format!("shared.phm_{part}.w") } else { format!("{at}.{part}.w") };
        let bias = phm.phm_bias.then(|| take(tensors, &format!("{at}.{part}.bias"))).transpose()?;
        Ok(Self::Hypercomplex {
            rule: Product::take(tensors, &rule, phm.factorized_phm_rule)?,
            weights: Product::take(tensors, &weights, phm.factorized_w)?,
            bias,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Linear(affine) => affine.linear(x),
            Self::Hypercomplex { rule, weights, bias } => {
                let transposed = kronecker_sum(&rule.value()?, &weights.value()?)?.t()?;
                linear(x, &transposed, bias.as_ref())
            }
        }
    }
}

/// `Σᵢ Aᵢ ⊗ Wᵢ` of `A [n, n, n]` and `W [n, p, q]`: `[n p, n q]`.
fn kronecker_sum(rule: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let (n, rows, columns) = rule.dims3()?;
    let (_, p, q) = weights.dims3()?;
    // One product over i: [n n, n] · [n, p q] holds every A[i, a, c] · W[i, p, q].
    let left = rule.reshape((n, rows * columns))?.t()?;
    let all = left.matmul(&weights.reshape((n, p * q))?)?;
    all.reshape((rows, columns, p, q))?.transpose(1, 2)?.contiguous()?.reshape((rows * p, columns * q))
}
