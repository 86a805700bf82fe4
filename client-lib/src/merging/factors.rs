//! A LoRA at one linear layer: two thin matrices and a number.

use super::{Matrix, MergeError};

/// The update `s · B A` of a weight `W [out, in]` (Hu et al., "LoRA: Low-Rank
/// Adaptation of Large Language Models", 2021).
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    a: Matrix,
    b: Matrix,
    scaling: f64,
}

impl Factors {
    /// From `A [r, in]`, `B [out, r]` and the scaling `s` (`α / r`, or `α / √r` when
    /// rank-stabilised). Refuses different ranks and numbers that are not finite.
    pub fn new(a: Matrix, b: Matrix, scaling: f64) -> Result<Self, MergeError> {
        if a.rows() != b.cols() {
            return Err(MergeError::Factors { a: a.rows(), b: b.cols() });
        }
        a.check_finite("`A`")?;
        b.check_finite("`B`")?;
        if !scaling.is_finite() {
            return Err(MergeError::NotFinite { what: "the scaling".into(), index: 0, value: scaling });
        }
        Ok(Self { a, b, scaling })
    }

    /// From parts that a decomposition made: of one rank and finite.
    pub(super) fn from_parts(a: Matrix, b: Matrix) -> Self {
        Self { a, b, scaling: 1.0 }
    }

    /// `A [r, in]`.
    pub fn a(&self) -> &Matrix {
        &self.a
    }

    /// `B [out, r]`.
    pub fn b(&self) -> &Matrix {
        &self.b
    }

    /// The scaling `s`.
    pub fn scaling(&self) -> f64 {
        self.scaling
    }

    /// The rank `r`.
    pub fn rank(&self) -> usize {
        self.a.rows()
    }

    /// `[out, in]`: the shape of the weight it updates.
    pub fn weight_shape(&self) -> [usize; 2] {
        [self.b.rows(), self.a.cols()]
    }

    /// The update itself: `ΔW = s · B A`, `[out, in]`.
    pub fn delta(&self) -> Result<Matrix, MergeError> {
        Ok(self.b.times(&self.a)?.scaled(self.scaling))
    }

    /// The same update with `s = 1`: `B` takes the scaling.
    #[must_use]
    pub fn with_unit_scaling(self) -> Self {
        Self { b: self.b.scaled(self.scaling), scaling: 1.0, ..self }
    }

    /// The update of the transposed weight: `(s · B A)ᵀ = s · Aᵀ Bᵀ`.
    #[must_use]
    pub fn transposed(&self) -> Self {
        Self { a: self.b.transposed(), b: self.a.transposed(), scaling: self.scaling }
    }

    /// `factor · ΔW`; a negative factor subtracts what the adapter learned (task
    /// negation: Ilharco et al., "Editing Models with Task Arithmetic", 2023).
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { scaling: self.scaling * factor, ..self }
    }
}
