//! Heads of groups of rows: where the outermost block divides a batch, each of its members has its own.

use std::collections::BTreeMap;

use candle_core::Tensor;
use hub_schemas::head::Pooling;

use super::StitchedModel;
use crate::{
    composition::Composition,
    heads::{Features, HeadInput, LoadedHead, Prediction},
};

/// A head of the whole batch, or heads of groups of rows with how many rows they have.
pub(super) type Heads = (Option<LoadedHead>, Vec<(Option<usize>, Option<LoadedHead>)>);

/// The heads that adapters bring.
pub(super) enum Brought {
    /// One by the name of its adapter, of any number of them.
    Each(BTreeMap<String, LoadedHead>),
    /// All were saved from one model, which has one head.
    One(Box<LoadedHead>),
}

impl Brought {
    /// Whether there are none.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::Each(heads) if heads.is_empty())
    }
}

/// Which heads predict: that of the last adapter, or where the last block divides the
/// rows, that of each member's last adapter.
pub(super) fn choose(composition: &Composition, brought: Brought) -> Heads {
    let mut heads = match brought {
        Brought::One(head) => return (Some(*head), Vec::new()),
        Brought::Each(heads) => heads,
    };
    let mut take = |child: &Composition| heads.remove(child.last()?);
    let groups: Vec<_> = match composition.outermost() {
        single @ Composition::Single(_) => return (take(single), Vec::new()),
        Composition::Parallel(children) => children.iter().map(|child| (None, take(child))).collect(),
        Composition::BatchSplit { children, batch_sizes } => {
            children.iter().zip(batch_sizes).map(|(child, &rows)| (Some(rows), take(child))).collect()
        }
        _ => Vec::new(),
    };
    if groups.iter().any(|(_, head)| head.is_some()) { (None, groups) } else { (None, Vec::new()) }
}

impl StitchedModel {
    /// What each head gives for the rows of its group.
    pub(super) fn predict_groups(
        &self,
        input: &HeadInput<'_>,
    ) -> candle_core::Result<Vec<Option<Prediction>>> {
        let Features { state, layer_sum, attention_mask, ids, .. } = input.features;
        let alike = state.dim(0)? / self.groups.len().max(1);
        // `forward_head` of `adapters` 1.3.0 divides everything among the heads but what the pooler gives.
        let reads_all =
            |head: &LoadedHead| self.stitch.is_library() && head.config().pooling() == Some(Pooling::Pooler);
        let mut start = 0;
        let mut predict = |(rows, head): &(Option<usize>, Option<LoadedHead>)| {
            let rows = rows.unwrap_or(alike);
            if let Some(head) = head.as_ref().filter(|head| reads_all(head)) {
                start += rows;
                return head.forward(input).map(Some);
            }
            let own = |x: &Tensor| x.narrow(0, start, rows)?.contiguous();
            let (state, attention_mask) = (own(state)?, own(attention_mask)?);
            let layer_sum = layer_sum.map(own).transpose()?;
            // Adapters in parallel have all read the same rows.
            let own_ids = ids.filter(|ids| ids.dims()[0] >= start + rows).map(own).transpose()?;
            start += rows;
            let ids = own_ids.as_ref().or(ids);
            let features =
                self.features(&state, layer_sum.as_ref(), &attention_mask, (ids, input.features.read));
            head.as_ref().map(|head| head.forward(&HeadInput { features, ..*input })).transpose()
        };
        self.groups.iter().map(&mut predict).collect()
    }
}
