//! Composition at an attention's keys and values.
//!
//! `Stack(a, b)` puts b's prefix in front of a's. Where groups of rows have prefixes of
//! different lengths, the shorter ones are padded with keys that no query sees.

use candle_core::{Result, Tensor};

use super::node::{Node, split_rows};
use crate::{
    backbones::{AttentionInput, KeysValues, repeat_rows},
    methods::{Adapter, PrefixStates},
    ops::KeyMask,
};

/// Keys and values under `node`.
pub(super) fn compose(
    adapters: &[Box<dyn Adapter>],
    node: &Node,
    at: &AttentionInput<'_>,
    state: KeysValues,
) -> Result<KeysValues> {
    if !touches(adapters, node, at.layer) {
        return Ok(state);
    }
    match node {
        Node::Leaf(index) => attach(adapters[*index].as_ref(), at, state),
        Node::Nothing => Ok(state),
        Node::Stack(children) => {
            children.iter().try_fold(state, |state, child| compose(adapters, child, at, state))
        }
        Node::BatchSplit { children, .. } | Node::Parallel(children) => {
            by_rows(adapters, node, children, at, &state)
        }
        Node::Average { .. } | Node::Fuse { .. } | Node::Split { .. } => {
            candle_core::bail!("prefixes can be composed by Stack, BatchSplit and Parallel")
        }
    }
}

fn touches(adapters: &[Box<dyn Adapter>], node: &Node, layer: usize) -> bool {
    node.any(adapters, &|adapter| adapter.is_at_attention(layer))
}

fn attach(adapter: &dyn Adapter, at: &AttentionInput<'_>, state: KeysValues) -> Result<KeysValues> {
    let x = repeat_rows(at.x, state.keys.dim(0)?)?;
    let at = AttentionInput { x: &x, ..*at };
    let mut state = match adapter.prefix(&at)? {
        None => state,
        Some(PrefixStates { keys, values }) => KeysValues {
            mask: state.mask.prepend(0, keys.dim(1)?),
            keys: Tensor::cat(&[&keys, &state.keys], 1)?,
            values: Tensor::cat(&[&values, &state.values], 1)?,
            prompts: state.prompts,
        },
    };
    state.prompts.extend(adapter.gated_prompt(&at)?);
    Ok(state)
}

fn by_rows(
    adapters: &[Box<dyn Adapter>],
    node: &Node,
    children: &[Node],
    at: &AttentionInput<'_>,
    state: &KeysValues,
) -> Result<KeysValues> {
    let keys = node.forked(&state.keys, at.context.batch)?;
    let values = node.forked(&state.values, at.context.batch)?;
    let rows = keys.dim(0)?;
    let mask = state.mask.repeat(rows)?;
    let groups = node.groups(rows).unwrap_or_else(|| Ok(vec![rows]))?;
    let xs = split_rows(&repeat_rows(at.x, rows)?, &groups)?;
    let (keys, values) = (split_rows(&keys, &groups)?, split_rows(&values, &groups)?);
    let mut parts = Vec::with_capacity(children.len());
    let mut start = 0;
    for (i, child) in children.iter().enumerate() {
        let state = KeysValues {
            keys: keys[i].clone(),
            values: values[i].clone(),
            mask: mask.rows(start, groups[i]),
            prompts: Vec::new(),
        };
        start += groups[i];
        let part = compose(adapters, child, &AttentionInput { x: &xs[i], ..*at }, state)?;
        if !part.prompts.is_empty() {
            candle_core::bail!("gated prompts of several adapters can't share a batch");
        }
        parts.push(part);
    }
    pad_and_join(&parts)
}

fn pad_and_join(parts: &[KeysValues]) -> Result<KeysValues> {
    let longest = parts.iter().map(|p| p.mask.keys()).max().unwrap_or(0);
    let pad = |x: &Tensor| x.pad_with_zeros(1, longest - x.dim(1)?, 0);
    let keys = parts.iter().map(|p| pad(&p.keys)).collect::<Result<Vec<_>>>()?;
    let values = parts.iter().map(|p| pad(&p.values)).collect::<Result<Vec<_>>>()?;
    let masks: Vec<KeyMask> = parts.iter().map(|p| p.mask.prepend(longest - p.mask.keys(), 0)).collect();
    Ok(KeysValues {
        keys: Tensor::cat(&keys, 0)?,
        values: Tensor::cat(&values, 0)?,
        mask: KeyMask::cat(&masks)?,
        prompts: Vec::new(),
    })
}
