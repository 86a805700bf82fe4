//! What training adds to the loss besides the examples' own.

use candle_core::{Result, Tensor};
use hub_schemas::method::Method;

use crate::params::Parameters;

/// What training pulls parameters towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Regulariser {
    /// `0.01 · Σ ‖I − W_v‖²` over the value projections of a fusion, as in `adapters`
    /// (Pfeiffer et al. 2021).
    FusionValues,
    /// `0.5 · mean(‖A Aᵀ − I‖, ‖Bᵀ B − I‖)` over the singular vectors of `AdaLoRA`, in the
    /// Frobenius norm, as in PEFT (Zhang et al. 2023, equation 4).
    SingularVectors,
}

impl Regulariser {
    /// What the method's own paper adds.
    pub(super) const fn of(method: &Method) -> Option<Self> {
        match method {
            Method::AdaLora(_) => Some(Self::SingularVectors),
            _ => None,
        }
    }

    /// The term, a scalar; `None` without a parameter that it is about.
    pub(super) fn term(self, parameters: &Parameters) -> Result<Option<Tensor>> {
        let terms = parameters.iter().filter_map(|(slot, var)| self.own(slot, var.as_tensor()));
        let terms = terms.collect::<Result<Vec<Tensor>>>()?;
        if terms.is_empty() {
            return Ok(None);
        }
        let all = Tensor::stack(&terms, 0)?;
        match self {
            Self::FusionValues => (all.sum_all()? * 0.01).map(Some),
            Self::SingularVectors => (all.mean_all()? * 0.5).map(Some),
        }
    }

    fn own(self, slot: &str, parameter: &Tensor) -> Option<Result<Tensor>> {
        match self {
            Self::FusionValues => {
                slot.ends_with(".fusion.value.weight").then(|| squared_from_identity(parameter))
            }
            Self::SingularVectors if slot.ends_with(".ada_a") => {
                Some(parameter.t().and_then(|t| squared_from_identity(&parameter.matmul(&t)?)?.sqrt()))
            }
            Self::SingularVectors if slot.ends_with(".ada_b") => {
                Some(parameter.t().and_then(|t| squared_from_identity(&t.matmul(parameter)?)?.sqrt()))
            }
            Self::SingularVectors => None,
        }
    }
}

/// `‖I − M‖²` of a square matrix.
fn squared_from_identity(matrix: &Tensor) -> Result<Tensor> {
    let identity = Tensor::eye(matrix.dim(0)?, matrix.dtype(), matrix.device())?;
    (identity - matrix)?.sqr()?.sum_all()
}
