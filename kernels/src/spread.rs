//! Who computes which part of a product.
//!
//! Many rows are divided among the threads: each reads all weights and writes rows of its own. Of few
//! rows every thread computes some panels; they are put side by side at the end, which costs little
//! because there is little.

use std::{mem::MaybeUninit, ops::Range};

use rayon::prelude::*;

use crate::{
    fresh::{self, Blank, Filled},
    panels::{PANEL, ROWS},
};

/// Rows that a thread takes at a time: their activations and a panel of weights fit a second-level
/// cache of a megabyte together.
const BLOCK: usize = 96;
/// Multiplications below which waking another thread costs more than it gives.
const ALONE: usize = 1 << 21;

/// The sizes of `y [rows, outputs] = x [rows, inputs] · w`.
#[derive(Clone, Copy)]
pub(crate) struct Product {
    pub(crate) rows: usize,
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
}

impl Product {
    /// Those of the product of `x` with a weight of so many inputs and outputs.
    ///
    /// # Panics
    /// If `x` does not have whole rows.
    pub(crate) fn of(x: &[f32], inputs: usize, outputs: usize) -> Self {
        let rows = x.len() / inputs.max(1);
        assert_eq!(x.len(), rows * inputs, "size of x");
        Self { rows, outputs, inputs }
    }

    /// Rows that a thread takes at a time where the threads divide the rows; `None` where these are too few for that.
    pub(crate) fn share(self) -> Option<usize> {
        let threads = rayon::current_num_threads();
        if threads == 1 || self.rows * self.outputs * self.inputs < ALONE {
            return Some(BLOCK);
        }
        (self.rows >= threads * BLOCK / 2).then(|| {
            // Even shares in whole tiles: a last block of a few rows would be waited for.
            let shares = self.rows.div_ceil(BLOCK).next_multiple_of(threads);
            self.rows.div_ceil(shares).next_multiple_of(ROWS)
        })
    }
}

/// Where the outputs of one panel go.
pub(crate) struct Target<'a> {
    /// From the first of the rows at the panel's first output on.
    y: &'a mut [MaybeUninit<f32>],
    /// From one row to the next.
    stride: usize,
    /// Outputs: a last panel may have fewer than [`PANEL`].
    width: usize,
    /// What is added to each.
    bias: Option<&'a [f32]>,
    /// Rows that are written.
    done: usize,
}

impl Target<'_> {
    /// Writes the next rows; `first` is the number of the first of them.
    ///
    /// # Panics
    /// If these are not the next rows.
    pub(crate) fn store<const R: usize>(&mut self, tile: &[[f32; PANEL]; R], first: usize) {
        assert_eq!(first, self.done, "the next row of a panel");
        for (row, from) in tile.iter().enumerate() {
            let to = &mut self.y[(first + row) * self.stride..][..self.width];
            match (to.first_chunk_mut::<PANEL>(), self.bias) {
                // Of a known width: no function has to be called for the copy.
                (Some(to), None) => *to = from.map(MaybeUninit::new),
                (Some(to), Some(bias)) => add(to, from, &bias[..PANEL]),
                (None, Some(bias)) => {
                    add(&mut self.y[(first + row) * self.stride..][..self.width], from, bias);
                }
                (None, None) => _ = to.write_copy_of_slice(&from[..self.width]),
            }
        }
        self.done += R;
    }
}

/// As many sums as there are cells.
#[inline(always)]
fn add(to: &mut [MaybeUninit<f32>], from: &[f32], bias: &[f32]) {
    to.iter_mut().zip(from).zip(bias).for_each(|((to, a), b)| _ = to.write(a + b));
}

/// A kernel computes the outputs of one panel for some rows.
pub(crate) trait Kernel: Sync {
    /// Stores all of `rows` in the target, which begins with the first of them, one tile after the other.
    fn panel(&self, panel: usize, rows: Range<usize>, target: &mut Target<'_>);
}

/// `y [rows, outputs]`; `bias [outputs]` is added to every row.
pub(crate) fn run(kernel: &impl Kernel, product: Product, bias: Option<&[f32]>) -> Vec<f32> {
    let Product { rows, outputs, .. } = product;
    assert!(bias.is_none_or(|bias| bias.len() == outputs), "size of the bias");
    match product.share() {
        Some(block) => {
            let [y] =
                fresh::matrices(rows, block, [outputs], |rows, [y]| [fill(kernel, rows, outputs, bias, y)]);
            y
        }
        None => by_panels(kernel, product, bias),
    }
}

/// Fills `y [rows, outputs]` on this thread.
pub(crate) fn fill<'a>(
    kernel: &impl Kernel,
    rows: Range<usize>,
    outputs: usize,
    bias: Option<&[f32]>,
    mut y: Blank<'a, f32>,
) -> Filled<'a, f32> {
    assert_eq!(y.len(), rows.len() * outputs, "size of the product");
    if !y.is_empty() {
        for first in (0..outputs).step_by(PANEL) {
            let width = PANEL.min(outputs - first);
            let bias = bias.map(|bias| &bias[first..first + width]);
            let y = &mut y.cells()[first..];
            let mut target = Target { y, stride: outputs, width, bias, done: 0 };
            kernel.panel(first / PANEL, rows.clone(), &mut target);
            assert_eq!(target.done, rows.len(), "rows of a panel");
        }
    }
    #[expect(unsafe_code, reason = "panels are columns of what they fill")]
    // SAFETY: the panels hold all columns, and each stored all rows, one after the other, as was asserted.
    unsafe {
        y.filled()
    }
}

/// Few rows: the panels one by one, then side by side.
fn by_panels(kernel: &impl Kernel, Product { rows, outputs, .. }: Product, bias: Option<&[f32]>) -> Vec<f32> {
    let panels: Vec<Vec<f32>> = (0..outputs.div_ceil(PANEL))
        .into_par_iter()
        .map(|panel| {
            let first = panel * PANEL;
            let width = PANEL.min(outputs - first);
            let bias = bias.map(|bias| &bias[first..first + width]);
            fresh::alone(rows * width, |mut y| {
                let mut target = Target { y: y.cells(), stride: width, width, bias, done: 0 };
                kernel.panel(panel, 0..rows, &mut target);
                assert_eq!(target.done, rows, "rows of a panel");
                #[expect(unsafe_code, reason = "a panel whose rows were stored one after the other")]
                // SAFETY: all rows were stored, as was asserted, and are all there is.
                unsafe {
                    y.filled()
                }
            })
        })
        .collect();
    let mut y = Vec::with_capacity(rows * outputs);
    for row in 0..rows {
        for panel in &panels {
            let width = panel.len() / rows;
            y.extend_from_slice(&panel[row * width..][..width]);
        }
    }
    y
}

/// Calls `tile(first, count)` for tiles of at most [`ROWS`] rows.
pub(crate) fn tiles(rows: usize, mut tile: impl FnMut(usize, usize)) {
    (0..rows).step_by(ROWS).for_each(|first| tile(first, ROWS.min(rows - first)));
}
