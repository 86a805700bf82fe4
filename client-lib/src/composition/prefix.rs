//! Composition at an attention's keys and values.
//!
//! `Stack(a, b)` puts b's prefix in front of a's. Where groups of rows have prefixes of
//! different lengths, the shorter ones are padded with keys that no query sees.

use candle_core::{Result, Tensor};

use super::node::{Node, split_rows};
use crate::{
    backbones::{AttentionInput, KeysValues, LibraryPadding, repeat_rows},
    methods::{Adapter, PrefixStates},
    ops::KeyMask,
};

/// What stands in front of the shorter prefixes of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Padding {
    /// Keys that no query sees.
    Hidden,
    /// What `adapters` 1.3.0 puts there: keys and values that are all the backbone's padding id,
    /// with scores of which its mask is made.
    Library(LibraryPadding),
}

impl Padding {
    fn bias(self) -> f32 {
        match self {
            Self::Hidden => f32::NEG_INFINITY,
            Self::Library(padding) => padding.padding,
        }
    }

    fn value(self) -> f32 {
        match self {
            Self::Hidden => 0.0,
            Self::Library(padding) => padding.value,
        }
    }

    /// The mask with a prefix in front as this library counts its keys.
    fn counted(self, mask: KeyMask) -> KeyMask {
        match self {
            Self::Library(padding) if padding.from_first => mask.counted_from_first(),
            Self::Library(_) | Self::Hidden => mask,
        }
    }

    /// What is added to the scores of prefixes.
    fn prefix(self) -> f32 {
        match self {
            Self::Hidden => 0.0,
            Self::Library(padding) => padding.prefix,
        }
    }
}

/// The adapters at one attention.
#[derive(Clone, Copy)]
pub(super) struct PrefixHook<'a> {
    pub(super) adapters: &'a [Box<dyn Adapter>],
    pub(super) padding: Padding,
}

/// Keys and values under `node`.
pub(super) fn compose(
    hook: PrefixHook<'_>,
    node: &Node,
    at: &AttentionInput<'_>,
    state: KeysValues,
) -> Result<KeysValues> {
    let adapters = hook.adapters;
    if !touches(adapters, node, at.layer) {
        return Ok(state);
    }
    match node {
        Node::Leaf(index) => attach(adapters[*index].as_ref(), at, hook.padding, state),
        Node::Nothing => Ok(state),
        Node::Stack(children) => {
            children.iter().try_fold(state, |state, child| compose(hook, child, at, state))
        }
        Node::BatchSplit { children, .. } | Node::Parallel(children) => {
            by_rows(hook, node, children, at, &state)
        }
        Node::Average { .. } | Node::Fuse { .. } | Node::Split { .. } => {
            candle_core::bail!("prefixes can be composed by Stack, BatchSplit and Parallel")
        }
    }
}

fn touches(adapters: &[Box<dyn Adapter>], node: &Node, layer: usize) -> bool {
    node.any(adapters, &|adapter| adapter.is_at_attention(layer))
}

fn attach(
    adapter: &dyn Adapter,
    at: &AttentionInput<'_>,
    padding: Padding,
    state: KeysValues,
) -> Result<KeysValues> {
    let x = repeat_rows(at.x, state.keys.dim(0)?)?;
    let at = AttentionInput { x: &x, ..*at };
    let mut state = match adapter.prefix(&at)? {
        None => state,
        Some(PrefixStates { keys, values }) => KeysValues {
            mask: padding.counted(in_front(&state.mask, adapter, (keys.dim(1)?, padding.prefix()))),
            keys: Tensor::cat(&[&keys, &state.keys], 1)?,
            values: Tensor::cat(&[&values, &state.values], 1)?,
            prompts: state.prompts,
        },
    };
    state.prompts.extend(adapter.gated_prompt(&at)?);
    Ok(state)
}

/// The mask with a prefix of so many keys, with `bias` on their scores. One that shifts positions counts as
/// tokens that were read, which a window may leave behind.
fn in_front(mask: &KeyMask, adapter: &dyn Adapter, (keys, bias): (usize, f32)) -> KeyMask {
    let mask = mask.prepend(keys, bias, 0);
    if adapter.position_offset() > 0 { mask.with_distance(keys) } else { mask }
}

fn by_rows(
    hook: PrefixHook<'_>,
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
        let part = compose(hook, child, &AttentionInput { x: &xs[i], ..*at }, state)?;
        if !part.prompts.is_empty() {
            candle_core::bail!("gated prompts of several adapters can't share a batch");
        }
        parts.push(part);
    }
    pad_and_join(&parts, hook.padding)
}

fn pad_and_join(parts: &[KeysValues], padding: Padding) -> Result<KeysValues> {
    let longest = parts.iter().map(|p| p.mask.keys()).max().unwrap_or(0);
    let pad = |x: &Tensor| {
        let (rows, keys, width) = x.dims3()?;
        if keys == longest {
            return Ok(x.clone());
        }
        let shape = (rows, longest - keys, width);
        let values = Tensor::full(padding.value(), shape, x.device())?.to_dtype(x.dtype())?;
        Tensor::cat(&[&values, x], 1)
    };
    let keys = parts.iter().map(|p| pad(&p.keys)).collect::<Result<Vec<_>>>()?;
    let values = parts.iter().map(|p| pad(&p.values)).collect::<Result<Vec<_>>>()?;
    let masks: Vec<KeyMask> =
        parts.iter().map(|p| p.mask.prepend(longest - p.mask.keys(), padding.bias(), 0)).collect();
    Ok(KeysValues {
        keys: Tensor::cat(&keys, 0)?,
        values: Tensor::cat(&values, 0)?,
        mask: KeyMask::cat(&masks)?,
        prompts: Vec::new(),
    })
}
