//! Composition at a linear layer.
//!
//! Adapters that add to the output or scale it give [`Update`]s, which are composed
//! before one of them meets the frozen output: the frozen product is computed once
//! for all rows, however many adapters share the batch. Methods that change the
//! weight itself compute their rows' output whole.

use candle_core::{Result, Tensor};
use hub_schemas::backbone::Module;

use super::node::{Node, Semantics, split_rows};
use crate::{
    backbones::LinearInput,
    methods::{Adapter, Update},
};

/// The adapters at one linear layer.
pub(super) struct LinearHook<'a> {
    pub(super) adapters: &'a [Box<dyn Adapter>],
    pub(super) semantics: Semantics,
}

impl LinearHook<'_> {
    /// The layer's output, `[b, t, out]`, or several times as many rows.
    pub(super) fn forward(&self, node: &Node, at: &LinearInput<'_>) -> Result<Tensor> {
        if !self.touches(node, at.module) {
            return at.linear.forward(at.x);
        }
        if let Some(y) = self.low_rank(node, at)? {
            return Ok(y);
        }
        match self.semantics {
            Semantics::Library if self.is_decomposed(node, at.module) => self.decomposed(node, at),
            _ => self.whole(node, at, None),
        }
    }

    /// The output where a single update of low rank is all that changes a frozen layer: one operation, of which the
    /// graph keeps no output of the layer by itself.
    fn low_rank(&self, node: &Node, at: &LinearInput<'_>) -> Result<Option<Tensor>> {
        let Node::Leaf(index) = node else { return Ok(None) };
        let adapter = self.adapters[*index].as_ref();
        let frozen = at.linear.only_frozen().filter(|_| !replaces(adapter, at.module));
        let update = frozen.zip(adapter.low_rank(at));
        update.map(|(frozen, update)| update.forward(frozen, at.x)).transpose()
    }

    /// Whether some adapter is a `DoRA` here.
    fn is_decomposed(&self, node: &Node, module: Module) -> bool {
        node.any(self.adapters, &|adapter| adapter.decomposes(module))
    }

    /// What `adapters` makes of several updates of which some are `DoRA`s: all are composed as they are
    /// without magnitudes, and those of the last adapter, if it has any, scale all rows.
    fn decomposed(&self, node: &Node, at: &LinearInput<'_>) -> Result<Tensor> {
        let y = applied(self.update(node, at, None)?, at.linear.forward(at.x)?)?;
        let last = node.leaves().into_iter().rev().find(|&leaf| self.adapters[leaf].is_at(at.module));
        let rescaled = last.map(|leaf| self.adapters[leaf].rescaled(at, &y)).transpose()?.flatten();
        Ok(rescaled.unwrap_or(y))
    }

    pub(super) fn touches(&self, node: &Node, module: Module) -> bool {
        node.any(self.adapters, &|adapter| adapter.is_at(module) || replaces(adapter, module))
    }

    /// Whether some adapter computes its rows' output by itself.
    fn is_whole(&self, node: &Node, module: Module) -> bool {
        node.any(self.adapters, &|adapter| adapter.transforms(module) || replaces(adapter, module))
    }

    /// The output under `node`; `y` is what it is before.
    fn whole(&self, node: &Node, at: &LinearInput<'_>, y: Option<Tensor>) -> Result<Tensor> {
        let base = |y: Option<Tensor>| y.map_or_else(|| at.linear.forward(at.x), Ok);
        if !self.is_whole(node, at.module) {
            return applied(self.update(node, at, None)?, base(y)?);
        }
        match node {
            Node::Leaf(index) => Self::leaf(self.adapters[*index].as_ref(), at, y),
            Node::Nothing => base(y),
            Node::Stack(children) => {
                let step = |y: Option<Tensor>, child| self.whole(child, at, y).map(Some);
                base(children.iter().try_fold(y, step)?)
            }
            Node::Average { children, weights } => {
                let y = base(y)?;
                let mut sum = y.zeros_like()?;
                for (child, weight) in children.iter().zip(weights) {
                    sum = (sum + (self.whole(child, at, Some(y.clone()))? * *weight)?)?;
                }
                Ok(sum)
            }
            Node::BatchSplit { children, .. } | Node::Parallel(children) => {
                let x = node.forked(at.x, at.context.batch)?;
                let y = y.map(|y| node.forked(&y, at.context.batch)).transpose()?;
                let groups = groups(node, x.dim(0)?)?;
                let xs = split_rows(&x, &groups)?;
                let ys = y.map(|y| split_rows(&y, &groups)).transpose()?;
                let one = |(i, child): (usize, &Node)| {
                    let at = LinearInput { x: &xs[i], ..*at };
                    self.whole(child, &at, ys.as_ref().map(|ys| ys[i].clone()))
                };
                let parts = children.iter().enumerate().map(one).collect::<Result<Vec<_>>>()?;
                Tensor::cat(&parts, 0)
            }
            Node::Fuse { .. } | Node::Split { .. } => unsupported(node),
        }
    }

    fn leaf(adapter: &dyn Adapter, at: &LinearInput<'_>, y: Option<Tensor>) -> Result<Tensor> {
        let (weight, bias) = names(at.module);
        let linear = at.linear.replaced(adapter.replaced(&weight), adapter.replaced(&bias));
        let own = LinearInput { linear: &linear, ..*at };
        let y = match (adapter.transform(&own)?, replaces(adapter, at.module), y) {
            // What other adapters did stays: all that each changes is added up.
            (Some(own), false, Some(y)) => (y + (own - at.linear.forward(at.x)?)?)?,
            (Some(y), ..) | (None, false, Some(y)) => y,
            (None, true, Some(_) | None) | (None, false, None) => linear.forward(at.x)?,
        };
        match adapter.update(&own, at.x)? {
            Some(update) => update.apply(&y),
            None => Ok(y),
        }
    }

    /// What `node` adds to the output or scales it by, after `prior`.
    fn update(&self, node: &Node, at: &LinearInput<'_>, prior: Option<Update>) -> Result<Option<Update>> {
        if !self.touches(node, at.module) {
            return Ok(prior);
        }
        match node {
            Node::Leaf(index) => self.leaf_update(self.adapters[*index].as_ref(), at, prior),
            Node::Nothing => Ok(prior),
            Node::Stack(children) => {
                children.iter().try_fold(prior, |prior, child| self.update(child, at, prior))
            }
            Node::Average { children, weights } => self.average(children, weights, at, prior.as_ref()),
            Node::BatchSplit { children, .. } | Node::Parallel(children) => {
                let x = node.forked(at.x, at.context.batch)?;
                let groups = groups(node, x.dim(0)?)?;
                let xs = split_rows(&x, &groups)?;
                let mut parts = Vec::with_capacity(children.len());
                let mut start = 0;
                for ((child, x), &size) in children.iter().zip(&xs).zip(&groups) {
                    let prior = prior.as_ref().map(|u| narrow(u, start, size, &groups)).transpose()?;
                    start += size;
                    parts.push(self.update(child, &LinearInput { x, ..*at }, prior)?);
                }
                join(&parts, &xs, at)
            }
            Node::Fuse { .. } | Node::Split { .. } => unsupported(node),
        }
    }

    fn leaf_update(
        &self,
        adapter: &dyn Adapter,
        at: &LinearInput<'_>,
        prior: Option<Update>,
    ) -> Result<Option<Update>> {
        // The library feeds the first update to the second, so that their product remains.
        let input = match (&prior, self.semantics) {
            (Some(Update::Add(delta) | Update::Scale(delta)), Semantics::Library) => delta.clone(),
            _ => at.x.clone(),
        };
        let own = match adapter.update(at, &input)? {
            None if self.semantics == Semantics::Library => {
                adapter.undecomposed(at, &input)?.map(Update::Add)
            }
            own => own,
        };
        let Some(own) = own else { return Ok(prior) };
        Ok(Some(match (prior, own, self.semantics) {
            // What adds behind what scales has worked on the factors.
            (None, own, _) | (Some(_), own @ Update::Add(_), Semantics::Library) => own,
            (Some(Update::Add(prior)), Update::Scale(own), Semantics::Library) => {
                Update::Scale(prior.broadcast_mul(&own)?)
            }
            (Some(Update::Add(prior)), Update::Add(own), Semantics::Plain) => Update::Add((prior + own)?),
            (Some(Update::Scale(prior)), Update::Scale(own), _) => Update::Scale(prior.broadcast_mul(&own)?),
            (Some(_), _, _) => candle_core::bail!(
                "at `{}` one adapter adds and another one scales; that can't be composed",
                at.module
            ),
        }))
    }

    fn average(
        &self,
        children: &[Node],
        weights: &[f64],
        at: &LinearInput<'_>,
        prior: Option<&Update>,
    ) -> Result<Option<Update>> {
        // The library takes a mean of values that are weighted already.
        let share = match self.semantics {
            Semantics::Library => 1.0 / children.len() as f64,
            Semantics::Plain => 1.0,
        };
        let present = children.iter().zip(weights).filter(|(child, _)| self.touches(child, at.module));
        let present: Vec<(&Node, f64)> = present.map(|(child, weight)| (child, *weight)).collect();
        let mut sum: Option<Update> = None;
        for (child, weight) in &present {
            let Some(own) = self.update(child, at, prior.cloned())? else { continue };
            let weight = lone_weight(&present, weights, self.semantics).unwrap_or(*weight) * share;
            sum = Some(match (sum, own) {
                (None, Update::Add(own)) => Update::Add((own * weight)?),
                (None, Update::Scale(own)) => Update::Scale((own * weight)?),
                (Some(Update::Add(sum)), Update::Add(own)) => Update::Add((sum + (own * weight)?)?),
                (Some(Update::Scale(sum)), Update::Scale(own)) => {
                    Update::Scale(sum.broadcast_add(&(own * weight)?)?)
                }
                _ => candle_core::bail!(
                    "at `{}` an adapter that adds and one that scales are averaged",
                    at.module
                ),
            });
        }
        Ok(sum)
    }
}

/// `y` with an update, which has more rows than `y` where adapters have forked it.
fn applied(update: Option<Update>, y: Tensor) -> Result<Tensor> {
    let Some(update) = update else { return Ok(y) };
    let rows = match &update {
        Update::Add(delta) => delta.dim(0)?,
        Update::Scale(factors) if factors.rank() == 3 => factors.dim(0)?.max(y.dim(0)?),
        Update::Scale(_) => y.dim(0)?,
    };
    update.apply(&crate::backbones::repeat_rows(&y, rows)?)
}

/// In the library the weights of all members fall to the only one that is present.
pub(super) fn lone_weight(present: &[(&Node, f64)], weights: &[f64], semantics: Semantics) -> Option<f64> {
    (semantics == Semantics::Library && present.len() == 1).then(|| weights.iter().sum())
}

/// Canonical names of a module's weight and bias.
fn names(module: Module) -> (String, String) {
    (format!("{module}.weight"), format!("{module}.bias"))
}

fn replaces(adapter: &dyn Adapter, module: Module) -> bool {
    let (weight, bias) = names(module);
    adapter.replaced(&weight).is_some() || adapter.replaced(&bias).is_some()
}

fn groups(node: &Node, rows: usize) -> Result<Vec<usize>> {
    node.groups(rows).unwrap_or_else(|| Ok(vec![rows]))
}

fn unsupported<T>(node: &Node) -> Result<T> {
    let block = if matches!(node, Node::Fuse { .. }) { "Fuse" } else { "Split" };
    candle_core::bail!("{block} composes bottleneck adapters; one of its members changes linear layers")
}

/// The part of an update for some rows.
fn narrow(update: &Update, start: usize, size: usize, groups: &[usize]) -> Result<Update> {
    let rows: usize = groups.iter().sum();
    let cut = |x: &Tensor| {
        // What is the same for all rows, or was made before the rows were forked.
        if x.rank() < 3 || x.dim(0)? == 1 {
            return Ok(x.clone());
        }
        crate::backbones::repeat_rows(x, rows)?.narrow(0, start, size)?.contiguous()
    };
    Ok(match update {
        Update::Add(delta) => Update::Add(cut(delta)?),
        Update::Scale(factors) => Update::Scale(cut(factors)?),
    })
}

/// The updates of consecutive groups of rows as one; rows without one are left alone.
fn join(parts: &[Option<Update>], xs: &[Tensor], at: &LinearInput<'_>) -> Result<Option<Update>> {
    let adds = parts.iter().flatten().any(|u| matches!(u, Update::Add(_)));
    let scales = parts.iter().flatten().any(|u| matches!(u, Update::Scale(_)));
    if adds && scales {
        candle_core::bail!("at `{}` some rows are added to and others scaled", at.module);
    }
    if !adds && !scales {
        return Ok(None);
    }
    let outputs = at.linear.outputs()?;
    let full = |(part, x): (&Option<Update>, &Tensor)| {
        let (rows, positions, _) = x.dims3()?;
        let shape = if adds { (rows, positions, outputs) } else { (rows, 1, outputs) };
        match part {
            Some(Update::Add(values)) => Ok(values.clone()),
            Some(Update::Scale(values)) => values.broadcast_as(shape)?.contiguous(),
            None if adds => Tensor::zeros(shape, x.dtype(), x.device()),
            None => Tensor::ones(shape, x.dtype(), x.device()),
        }
    };
    let all = parts.iter().zip(xs).map(full).collect::<Result<Vec<_>>>()?;
    let all = Tensor::cat(&all, 0)?;
    Ok(Some(if adds { Update::Add(all) } else { Update::Scale(all) }))
}
