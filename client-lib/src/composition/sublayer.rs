//! Composition of bottlenecks at a sub-layer, in the order of `adapters` 1.3.0.
//!
//! Every block first *enters* with its first member (with its last one under `Fuse`),
//! then runs its members; the last member of all *leaves*: it adds the block's own
//! residual and norm, once.

use candle_core::{Result, Tensor};

use super::{
    Fusion,
    fusion::Mixture,
    linear::lone_weight,
    node::{Node, Semantics, split_rows},
};
use crate::{
    backbones::{Noted, Stand, SubLayerInput, repeat_rows},
    methods::{Adapter, Entry, SubLayerAdapter},
};

/// The adapters at one sub-layer.
pub(super) struct SubLayerHook<'a> {
    pub(super) adapters: &'a [Box<dyn Adapter>],
    pub(super) fusions: &'a [Fusion],
    pub(super) semantics: Semantics,
    /// Whether groups of rows are those of tasks.
    pub(super) by_task: bool,
}

/// What goes from one member to the next.
#[derive(Clone)]
struct State {
    /// The adapter's input, and then its output, `[b, t, h]`.
    hidden: Tensor,
    /// What the block's residual connection carries.
    residual: Tensor,
    /// What the adapter's own residual connection carries.
    inner: Tensor,
    /// The last up-projection.
    up: Option<Tensor>,
    /// The last member that ran.
    last: Option<usize>,
}

impl State {
    fn parts(
        &self,
        sizes: &[usize],
        cut: impl Fn(&Tensor, &[usize]) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Self>> {
        let (hidden, residual) = (cut(&self.hidden, sizes)?, cut(&self.residual, sizes)?);
        let inner = cut(&self.inner, sizes)?;
        let up = self.up.as_ref().map(|up| cut(up, sizes)).transpose()?;
        let part = |i: usize| Self {
            hidden: hidden[i].clone(),
            residual: residual[i].clone(),
            inner: inner[i].clone(),
            up: up.as_ref().map(|up| up[i].clone()),
            last: self.last,
        };
        Ok((0..sizes.len()).map(part).collect())
    }
}

impl SubLayerHook<'_> {
    /// What replaces `norm(z + residual)`, or on a projection `z`.
    pub(super) fn forward(&self, node: &Node, at: &SubLayerInput<'_>, z: &Tensor) -> Result<Tensor> {
        if !self.touches(node, at) {
            return at.finish(z);
        }
        if let Some(rows) = self.rows(node) {
            return self.by_rows(rows, at, z);
        }
        let state = State {
            hidden: z.clone(),
            residual: at.residual.clone(),
            inner: at.residual.clone(),
            up: None,
            last: None,
        };
        let state = self.compose(node, at, state)?;
        let z = repeat_rows(z, state.hidden.dim(0)?)?;
        let at = SubLayerInput { residual: &state.residual, ..*at };
        match state.last.and_then(|last| self.adapter(last, &at)) {
            Some(last) => last.leave(&at, &z, &state.hidden),
            None => at.finish(&z),
        }
    }

    /// The block that divides the rows, where each group is a matter of its own.
    fn rows<'n>(&self, node: &'n Node) -> Option<&'n Node> {
        let node = match node {
            Node::Stack(children) if children.len() == 1 => &children[0],
            other => other,
        };
        let divides = matches!(node, Node::BatchSplit { .. } | Node::Parallel(_));
        (divides && (self.semantics == Semantics::Plain || node.has_nothing())).then_some(node)
    }

    fn by_rows(&self, node: &Node, at: &SubLayerInput<'_>, z: &Tensor) -> Result<Tensor> {
        let z = node.forked(z, at.context.batch)?;
        let rows = z.dim(0)?;
        let residual = repeat_rows(at.residual, rows)?;
        let groups = node.groups(rows).unwrap_or_else(|| Ok(vec![rows]))?;
        let parts = split_rows(&z, &groups)?.into_iter().zip(split_rows(&residual, &groups)?);
        let one = |(child, (z, residual)): (&Node, (Tensor, Tensor))| {
            self.forward(child, &SubLayerInput { residual: &residual, ..*at }, &z)
        };
        let parts = node.children().iter().zip(parts).map(one).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 0)
    }

    fn adapter(&self, index: usize, at: &SubLayerInput<'_>) -> Option<&dyn SubLayerAdapter> {
        standing(self.adapters[index].as_ref(), at)
    }

    fn touches(&self, node: &Node, at: &SubLayerInput<'_>) -> bool {
        node.any(self.adapters, &|adapter| standing(adapter, at).is_some())
    }

    /// The members that are present here, in order.
    fn present(&self, node: &Node, at: &SubLayerInput<'_>) -> Vec<usize> {
        node.leaves().into_iter().filter(|&index| self.adapter(index, at).is_some()).collect()
    }

    fn compose(&self, node: &Node, at: &SubLayerInput<'_>, state: State) -> Result<State> {
        if !self.touches(node, at) {
            return Ok(state);
        }
        match node {
            Node::Leaf(index) => {
                let state = self.enter(*index, at, state)?;
                self.run(*index, at, state)
            }
            Node::Nothing => Ok(state),
            Node::Stack(children) => {
                children.iter().try_fold(state, |state, child| self.compose(child, at, state))
            }
            Node::Fuse { children, fusion } => self.fuse(node, children, &self.fusions[*fusion], at, state),
            Node::Split { children, splits } => {
                let length = state.hidden.dim(1)?;
                let sum: usize = splits.iter().sum();
                if sum != length {
                    candle_core::bail!(
                        "Split: the input has {length} tokens, `splits` {splits:?} add up to {sum}"
                    );
                }
                let state = self.enter_first(node, at, state)?;
                let parts = state.parts(splits, split_tokens)?;
                let done = self.members(children, at, parts, 1)?;
                self.spread(children, splits, at, done)
            }
            Node::BatchSplit { children, .. } | Node::Parallel(children) => {
                let fork = |x: &Tensor| node.forked(x, at.context.batch);
                let state = State {
                    hidden: fork(&state.hidden)?,
                    residual: fork(&state.residual)?,
                    inner: fork(&state.inner)?,
                    up: state.up.as_ref().map(fork).transpose()?,
                    last: state.last,
                };
                let mut state = self.enter_first(node, at, state)?;
                let is_of_tasks = self.by_task && matches!(node, Node::BatchSplit { .. });
                if is_of_tasks && self.semantics == Semantics::Library {
                    // `MultiTask` of the library enters, and so does the `BatchSplit` that it makes of itself.
                    state = self.enter_first(node, at, state)?;
                }
                let rows = state.hidden.dim(0)?;
                let groups = node.groups(rows).unwrap_or_else(|| Ok(vec![rows]))?;
                let parts = state.parts(&groups, split_rows)?;
                self.members(children, at, parts, 0)
            }
            Node::Average { children, weights } => self.average(node, children, weights, at, state),
        }
    }

    /// The first step of a member.
    fn enter(&self, index: usize, at: &SubLayerInput<'_>, state: State) -> Result<State> {
        let Some(adapter) = self.adapter(index, at) else { return Ok(state) };
        let at = SubLayerInput { residual: &state.residual, ..*at };
        let Entry { input, residual } = adapter.enter(&at, &state.hidden)?;
        Ok(State { hidden: input, inner: residual, ..state })
    }

    /// The first step of a block's first member, on behalf of all of them.
    fn enter_first(&self, node: &Node, at: &SubLayerInput<'_>, state: State) -> Result<State> {
        match self.present(node, at).first() {
            Some(&first) => self.enter(first, at, state),
            None => Ok(state),
        }
    }

    /// The second step of a member.
    fn run(&self, index: usize, at: &SubLayerInput<'_>, state: State) -> Result<State> {
        let Some(adapter) = self.adapter(index, at) else { return Ok(state) };
        let at = SubLayerInput { residual: &state.residual, ..*at };
        let entry = Entry { input: state.hidden, residual: state.inner };
        let exit = adapter.forward(&at, &entry)?;
        Ok(State {
            hidden: exit.output,
            residual: state.residual,
            inner: entry.residual,
            up: Some(exit.up),
            last: Some(index),
        })
    }

    /// A member of a block that has entered already.
    fn member(&self, child: &Node, at: &SubLayerInput<'_>, state: State) -> Result<State> {
        match child {
            Node::Leaf(index) => self.run(*index, at, state),
            block => self.compose(block, at, state),
        }
    }

    /// `adapters` 1.3.0 leaves out the tokens of members that have nothing here. Where one token is left, it stands for all
    /// of them; where more are, the library fails, and all of them count here.
    fn spread(
        &self,
        children: &[Node],
        splits: &[usize],
        at: &SubLayerInput<'_>,
        state: State,
    ) -> Result<State> {
        let starts = splits.iter().scan(0, |end, tokens| {
            *end += tokens;
            Some(*end - tokens)
        });
        let all = children.iter().zip(splits).zip(starts);
        let left: Vec<(usize, usize)> = all
            .filter(|((child, _), _)| self.touches(child, at))
            .map(|((_, &tokens), start)| (start, tokens))
            .collect();
        match left.as_slice() {
            &[(start, 1)] if children.len() > 1 && self.semantics == Semantics::Library => {
                let hidden =
                    state.hidden.narrow(1, start, 1)?.broadcast_as(state.hidden.shape())?.contiguous()?;
                Ok(State { hidden, ..state })
            }
            _ => Ok(state),
        }
    }

    /// Every member on its part; the results side by side along `dim`.
    fn members(
        &self,
        children: &[Node],
        at: &SubLayerInput<'_>,
        parts: Vec<State>,
        dim: usize,
    ) -> Result<State> {
        let run = |(child, part): (&Node, State)| self.member(child, at, part);
        let done = children.iter().zip(parts).map(run).collect::<Result<Vec<_>>>()?;
        let cat = |of: fn(&State) -> &Tensor| Tensor::cat(&done.iter().map(of).collect::<Vec<_>>(), dim);
        let ups: Option<Vec<&Tensor>> = done.iter().map(|s| s.up.as_ref()).collect();
        Ok(State {
            hidden: cat(|s| &s.hidden)?,
            residual: cat(|s| &s.residual)?,
            inner: cat(|s| &s.inner)?,
            up: ups.map(|ups| Tensor::cat(&ups, dim)).transpose()?,
            last: done.iter().rev().find_map(|s| s.last),
        })
    }

    fn average(
        &self,
        node: &Node,
        children: &[Node],
        weights: &[f64],
        at: &SubLayerInput<'_>,
        state: State,
    ) -> Result<State> {
        let state = self.enter_first(node, at, state)?;
        let present = children.iter().zip(weights).filter(|(child, _)| self.touches(child, at));
        let present: Vec<(&Node, f64)> = present.map(|(child, weight)| (child, *weight)).collect();
        let lone = lone_weight(&present, weights, self.semantics);
        let run = |(child, weight): &(&Node, f64)| {
            Ok((self.member(child, at, state.clone())?, lone.unwrap_or(*weight)))
        };
        let done = present.iter().map(run).collect::<Result<Vec<_>>>()?;
        // The library takes a mean of values that are weighted already.
        let share = match self.semantics {
            Semantics::Library => 1.0 / children.len() as f64,
            Semantics::Plain => 1.0,
        };
        let mut sum: Option<Tensor> = None;
        for (member, weight) in &done {
            let own = (&member.hidden * (weight * share))?;
            sum = Some(match sum {
                None => own,
                Some(sum) => (sum + own)?,
            });
        }
        let first = done.first().map(|(state, _)| state);
        Ok(State {
            hidden: sum.unwrap_or_else(|| state.hidden.clone()),
            up: first.and_then(|first| first.up.clone()),
            last: done.last().and_then(|(state, _)| state.last),
            ..state
        })
    }

    fn fuse(
        &self,
        node: &Node,
        children: &[Node],
        fusion: &Fusion,
        at: &SubLayerInput<'_>,
        state: State,
    ) -> Result<State> {
        let Some((&last, adapter)) =
            self.present(node, at).last().and_then(|last| Some((last, self.adapter(*last, at)?)))
        else {
            return Ok(state);
        };
        let here = SubLayerInput { residual: &state.residual, ..*at };
        let entry = adapter.enter(&here, &state.hidden)?;
        let query = adapter.query(&here, &state.hidden, &entry, fusion.query_before_norm())?;
        let Entry { input, residual } = entry;
        let entered = State { hidden: input, inner: residual, ..state.clone() };
        let present = children.iter().filter(|child| self.touches(child, at));
        let members = present.clone().filter_map(|child| child.leaves().last().copied()).collect();
        let done =
            present.map(|child| self.member(child, at, entered.clone())).collect::<Result<Vec<_>>>()?;
        let ups: Vec<Tensor> = done.iter().filter_map(|member| member.up.clone()).collect();
        let (mixed, shares) = fusion.mix(&Mixture {
            place: (at.layer, at.sublayer),
            query: &query,
            ups: &ups,
            residual: &entered.inner,
            mode: at.context.mode,
        })?;
        if let Some(trace) = &at.context.trace {
            let place = format!("layers.{}.{}", at.layer, at.sublayer.as_str());
            trace.note(Noted::Fusion { place, members, shares });
        }
        Ok(State { hidden: mixed, up: done.last().and_then(|m| m.up.clone()), last: Some(last), ..entered })
    }
}

/// What an adapter has where `at` stands.
fn standing<'a>(adapter: &'a dyn Adapter, at: &SubLayerInput<'_>) -> Option<&'a dyn SubLayerAdapter> {
    let is_here = |own: &&dyn SubLayerAdapter| own.hooked().is_some() == (at.stand == Stand::OnProjection);
    adapter.sublayer(at.layer, at.sublayer).filter(is_here)
}

fn split_tokens(x: &Tensor, sizes: &[usize]) -> Result<Vec<Tensor>> {
    let mut start = 0;
    let cut = |&size: &usize| {
        let part = x.narrow(1, start, size)?;
        start += size;
        part.contiguous()
    };
    sizes.iter().map(cut).collect()
}
