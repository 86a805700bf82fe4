//! A composition whose names have become adapters.

use candle_core::{Result, Tensor};

use super::Composition;
use crate::{backbones::repeat_rows, methods::Adapter};

/// How adapters act where several implementations of a block exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Semantics {
    /// What `adapters` 1.3.0 computes, for adapters that were trained for it: `Average`
    /// divides by the number of members once more, stacked LoRAs multiply, and in a
    /// batch the rows of a member that is left out of a layer pass through the block's
    /// norm twice.
    Library,
    /// What the blocks say: a weighted mean, a sum of updates, the plain backbone.
    Plain,
}

/// A block with its members as indices into the adapters.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Leaf(usize),
    Nothing,
    Stack(Vec<Node>),
    Fuse { children: Vec<Node>, fusion: usize },
    Split { children: Vec<Node>, splits: Vec<usize> },
    BatchSplit { children: Vec<Node>, batch_sizes: Vec<usize> },
    Parallel(Vec<Node>),
    Average { children: Vec<Node>, weights: Vec<f64> },
}

impl Node {
    /// Resolves names by `leaf` and fusions by `fusion`.
    pub(super) fn resolve<E>(
        composition: &Composition,
        leaf: &impl Fn(&str) -> std::result::Result<usize, E>,
        fusion: &impl Fn(&str) -> std::result::Result<usize, E>,
    ) -> std::result::Result<Self, E> {
        let children = || -> std::result::Result<Vec<Self>, E> {
            let resolve = |child| Self::resolve(child, leaf, fusion);
            composition.children().iter().map(resolve).collect()
        };
        Ok(match composition {
            Composition::Single(name) => Self::Leaf(leaf(name)?),
            Composition::Nothing => Self::Nothing,
            Composition::Stack(_) => Self::Stack(children()?),
            Composition::Fuse { .. } => {
                let name = composition.fusions().swap_remove(0);
                Self::Fuse { children: children()?, fusion: fusion(&name)? }
            }
            Composition::Split { splits, .. } => {
                Self::Split { children: children()?, splits: splits.clone() }
            }
            Composition::BatchSplit { batch_sizes, .. } => {
                Self::BatchSplit { children: children()?, batch_sizes: batch_sizes.clone() }
            }
            Composition::Parallel(_) => Self::Parallel(children()?),
            Composition::Average { weights, .. } => {
                Self::Average { children: children()?, weights: weights.clone() }
            }
            // Which rows are whose is only known with the batch: see `Composition::for_tasks`.
            Composition::MultiTask(_) => Self::BatchSplit { children: children()?, batch_sizes: Vec::new() },
        })
    }

    /// The blocks inside this one.
    pub(super) fn children(&self) -> &[Self] {
        match self {
            Self::Leaf(_) | Self::Nothing => &[],
            Self::Stack(children)
            | Self::Parallel(children)
            | Self::Fuse { children, .. }
            | Self::Split { children, .. }
            | Self::BatchSplit { children, .. }
            | Self::Average { children, .. } => children,
        }
    }

    /// The adapters in it, in order.
    pub(super) fn leaves(&self) -> Vec<usize> {
        match self {
            Self::Leaf(index) => vec![*index],
            other => other.children().iter().flat_map(Self::leaves).collect(),
        }
    }

    /// Whether `is` holds for one of its adapters.
    pub(super) fn any(&self, adapters: &[Box<dyn Adapter>], is: &impl Fn(&dyn Adapter) -> bool) -> bool {
        self.leaves().into_iter().any(|index| is(adapters[index].as_ref()))
    }

    /// Whether some rows have no adapter.
    pub(super) fn has_nothing(&self) -> bool {
        matches!(self, Self::Nothing) || self.children().iter().any(Self::has_nothing)
    }

    /// Sizes of the groups into which this block divides `rows` rows; `None` for a block
    /// that does not.
    pub(super) fn groups(&self, rows: usize) -> Option<Result<Vec<usize>>> {
        match self {
            Self::BatchSplit { batch_sizes, .. } => {
                let sum: usize = batch_sizes.iter().sum();
                Some(if sum == rows {
                    Ok(batch_sizes.clone())
                } else {
                    Err(candle_core::Error::Msg(format!(
                        "BatchSplit: the batch has {rows} rows, `batch_sizes` {batch_sizes:?} add up to {sum}"
                    )))
                })
            }
            Self::Parallel(children) => {
                let n = children.len();
                Some(if rows.is_multiple_of(n) {
                    Ok(vec![rows / n; n])
                } else {
                    Err(candle_core::Error::Msg(format!("Parallel: {rows} rows for {n} members")))
                })
            }
            _ => None,
        }
    }

    /// `x`, repeated for every member where this is a `Parallel` that did not fork yet.
    pub(super) fn forked(&self, x: &Tensor, batch: usize) -> Result<Tensor> {
        match self {
            Self::Parallel(children) if x.dim(0)? == batch => repeat_rows(x, batch * children.len()),
            _ => Ok(x.clone()),
        }
    }
}

/// Consecutive groups of rows.
pub(super) fn split_rows(x: &Tensor, sizes: &[usize]) -> Result<Vec<Tensor>> {
    let mut start = 0;
    let cut = |&size: &usize| {
        let part = x.narrow(0, start, size)?;
        start += size;
        part.contiguous()
    };
    sizes.iter().map(cut).collect()
}
