//! The order of a packed matrix: panels of 48 outputs, one input after the other.
//!
//! 48 outputs are three AVX-512 vectors: with eight rows of `x` at a time the sums fill 24 of the
//! 32 registers, which is what keeps both multipliers busy (Goto & van de Geijn, "Anatomy of
//! High-Performance Matrix Multiplication", 2008, for the scheme).

use rayon::prelude::*;

/// Outputs in a panel.
pub(crate) const PANEL: usize = 48;
/// Rows of `x` that one inner loop takes.
pub(crate) const ROWS: usize = 8;

/// Which product a weight `W [out, in]`, row-major, is packed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `y [m, out] = x [m, in] · Wᵀ`: the forward of a linear layer.
    Forward,
    /// `∂x [m, in] = ∂y [m, out] · W`: its backward.
    Backward,
}

impl Side {
    /// Outputs and inputs of the product with a weight of `dims`.
    pub(crate) const fn sizes(self, (out, inputs): (usize, usize)) -> (usize, usize) {
        match self {
            Self::Forward => (out, inputs),
            Self::Backward => (inputs, out),
        }
    }
}

/// Inputs that are brought into order at a time: a line of a cache holds as many.
const BLOCK: usize = 16;

/// Fills the columns of all panels, `inputs / per_column` each: `put(column, place, weights)` gets every
/// input's weights for the panel's 48 outputs, zeros behind the last; `place` counts inside a column.
pub(crate) fn pack<C: Send>(
    weight: &[f32],
    dims: (usize, usize),
    side: Side,
    (columns, per_column): (&mut [C], usize),
    put: impl Fn(&mut C, usize, &[f32; PANEL]) + Sync,
) {
    assert_eq!(weight.len(), dims.0 * dims.1, "size of the weight");
    let (outputs, inputs) = side.sizes(dims);
    let in_panel = inputs.div_ceil(per_column).max(1);
    columns.par_chunks_mut(in_panel).enumerate().for_each(|(panel, columns)| {
        let first = panel * PANEL;
        let count = PANEL.min(outputs - first);
        for start in (0..inputs).step_by(BLOCK) {
            let length = BLOCK.min(inputs - start);
            let mut block = [[0.0; PANEL]; BLOCK];
            match side {
                Side::Forward => {
                    for output in 0..count {
                        let row = &weight[(first + output) * inputs + start..][..length];
                        block.iter_mut().zip(row).for_each(|(column, &w)| column[output] = w);
                    }
                }
                Side::Backward => {
                    for (input, column) in block[..length].iter_mut().enumerate() {
                        let row = &weight[(start + input) * outputs + first..];
                        column[..count].copy_from_slice(&row[..count]);
                    }
                }
            }
            for (input, column) in (start..).zip(&block[..length]) {
                put(&mut columns[input / per_column], input % per_column, column);
            }
        }
    });
}
