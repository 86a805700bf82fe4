//! Why a model decided as it did: which members its fusions listened to, and how far its
//! gates were open.

use candle_core::{DType, Result, Tensor};
use serde::Serialize;

use super::{Batch, Mode, Output, StitchedModel};
use crate::backbones::Noted;

/// What chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chooser {
    /// The attention of a fusion (Pfeiffer et al. 2021): shares that sum to one.
    Fusion,
    /// Learned gates (Mao et al. 2022): each between closed, 0, and open, 1.
    Gate,
}

/// A choice at one place of the backbone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribution {
    /// What chose.
    pub chooser: Chooser,
    /// Where: `layers.3.ffn`.
    pub place: String,
    /// What was chosen among: the members of a fusion, or the gates' numbers.
    pub names: Vec<String>,
    /// How much each counted: the mean over the tokens, padding aside.
    pub values: Vec<f64>,
}

impl StitchedModel {
    /// Runs one input `[1, t]`, and says how its fusions and gates chose. Empty for
    /// adapters that choose nothing.
    pub fn explain(&self, batch: &Batch) -> Result<(Output, Vec<Attribution>)> {
        let (stitch, trace) = self.stitch.traced();
        let output = self.run(&stitch, batch, Mode::Eval)?;
        let mask = &batch.attention_mask;
        let told = trace.take().into_iter().map(|noted| match noted {
            Noted::Fusion { place, members, shares } => {
                let names = members.into_iter().map(|index| stitch.name(index).to_owned()).collect();
                let values = over_tokens(&shares, mask)?;
                Ok(Attribution { chooser: Chooser::Fusion, place, names, values })
            }
            Noted::Gate { place, open } => {
                let values = numbers(&open.mean_keepdim(0)?)?;
                let names = (1..=values.len()).map(|n| format!("gate {n}")).collect();
                Ok(Attribution { chooser: Chooser::Gate, place, names, values })
            }
        });
        let told = told.collect::<Result<Vec<_>>>()?;
        Ok((output, told))
    }
}

/// The mean of `shares [1, t, n]` over the positions that hold tokens.
fn over_tokens(shares: &Tensor, mask: &Tensor) -> Result<Vec<f64>> {
    let (rows, positions, _) = shares.dims3()?;
    if mask.dims() != [rows, positions] {
        return numbers(&shares.mean((0, 1))?);
    }
    let mask = mask.to_dtype(shares.dtype())?.unsqueeze(2)?;
    let count = mask.sum_all()?;
    numbers(&shares.broadcast_mul(&mask)?.sum((0, 1))?.broadcast_div(&count)?)
}

fn numbers(x: &Tensor) -> Result<Vec<f64>> {
    x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}
