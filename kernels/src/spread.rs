//! Who computes which part of a product.
//!
//! Many rows are divided among the threads: each reads all weights and writes rows of its own. Of few
//! rows every thread computes some panels; they are put side by side at the end, which costs little
//! because there is little.

use std::ops::Range;

use rayon::prelude::*;

use crate::panels::{PANEL, ROWS};

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

/// Where the outputs of one panel go.
pub(crate) struct Target<'a> {
    /// From the first of the rows at the panel's first output on.
    y: &'a mut [f32],
    /// From one row to the next.
    stride: usize,
    /// Outputs: a last panel may have fewer than [`PANEL`].
    width: usize,
    /// What is added to each.
    bias: Option<&'a [f32]>,
}

impl Target<'_> {
    /// Writes a tile whose first row is `first`.
    pub(crate) fn store<const R: usize>(&mut self, tile: &[[f32; PANEL]; R], first: usize) {
        for (row, from) in tile.iter().enumerate() {
            let to = &mut self.y[(first + row) * self.stride..][..self.width];
            match self.bias {
                Some(bias) => to.iter_mut().zip(from).zip(bias).for_each(|((to, a), b)| *to = a + b),
                None => to.copy_from_slice(&from[..self.width]),
            }
        }
    }
}

/// A kernel computes the outputs of one panel for some rows.
pub(crate) trait Kernel: Sync {
    /// Fills `target`, which begins with the first of `rows`.
    fn panel(&self, panel: usize, rows: Range<usize>, target: Target<'_>);
}

/// Fills `y [rows, outputs]`; `bias [outputs]` is added to every row.
pub(crate) fn run(kernel: &impl Kernel, product: Product, bias: Option<&[f32]>, y: &mut [f32]) {
    let Product { rows, outputs, inputs } = product;
    assert_eq!(y.len(), rows * outputs, "size of the product");
    assert!(bias.is_none_or(|bias| bias.len() == outputs), "size of the bias");
    if y.is_empty() {
        return;
    }
    let panels = outputs.div_ceil(PANEL);
    let width = |panel: usize| PANEL.min(outputs - panel * PANEL);
    let bias = |panel: usize| bias.map(|bias| &bias[panel * PANEL..][..width(panel)]);
    let whole = |first: usize, y: &mut [f32]| {
        let rows = first..first + y.len() / outputs;
        for panel in 0..panels {
            let y = &mut y[panel * PANEL..];
            let target = Target { y, stride: outputs, width: width(panel), bias: bias(panel) };
            kernel.panel(panel, rows.clone(), target);
        }
    };
    let threads = rayon::current_num_threads();
    if threads == 1 || rows * outputs * inputs < ALONE {
        y.chunks_mut(BLOCK * outputs).enumerate().for_each(|(block, y)| whole(block * BLOCK, y));
    } else if rows >= threads * BLOCK / 2 {
        // Even shares in whole tiles: a last block of a few rows would be waited for.
        let shares = rows.div_ceil(BLOCK).next_multiple_of(threads);
        let block = rows.div_ceil(shares).next_multiple_of(ROWS);
        y.par_chunks_mut(block * outputs).enumerate().for_each(|(share, y)| whole(share * block, y));
    } else {
        let mut apart = vec![0.0; panels * rows * PANEL];
        apart.par_chunks_mut(rows * PANEL).enumerate().for_each(|(panel, y)| {
            let target = Target { y, stride: PANEL, width: width(panel), bias: bias(panel) };
            kernel.panel(panel, 0..rows, target);
        });
        for (panel, part) in apart.chunks_exact(rows * PANEL).enumerate() {
            for (row, from) in part.chunks_exact(PANEL).enumerate() {
                let to = &mut y[row * outputs + panel * PANEL..][..width(panel)];
                to.copy_from_slice(&from[..width(panel)]);
            }
        }
    }
}

/// Calls `tile(first, count)` for tiles of at most [`ROWS`] rows.
pub(crate) fn tiles(rows: usize, mut tile: impl FnMut(usize, usize)) {
    (0..rows).step_by(ROWS).for_each(|first| tile(first, ROWS.min(rows - first)));
}
