//! A learned number for every head and distance, added to the scores of attention.

use std::cell::{Cell, RefCell};

use candle_core::{Result, Tensor};
use hub_formats::architectures::{DistanceBuckets, Positions, TransformerConfig};

use super::weights::Weights;

/// The table of a stack of blocks, which all of them share (Raffel et al. 2020).
#[derive(Debug, Clone)]
pub(super) struct Distances {
    buckets: DistanceBuckets,
    /// `[buckets, h]`
    table: Tensor,
    /// Whether keys behind a query are told apart too.
    both_sides: bool,
}

/// The numbers of one forward pass, whose queries stand behind `offset` keys.
pub(super) struct ScoreBias<'a> {
    distances: &'a Distances,
    offset: usize,
    /// Of so many queries and keys: most blocks of a pass have as many.
    kept: RefCell<Option<((usize, usize), Tensor)>>,
    /// Whether blocks go without from the first one on that has other keys than the first of all: only that knows the
    /// table in the library, which asks each block anew when the number of keys changes.
    is_losable: bool,
    /// How many keys the first block has, and whether a block had others since.
    first: Cell<Option<usize>>,
    is_lost: Cell<bool>,
}

impl Distances {
    /// `None` where scores get nothing. `name` is that of the table.
    pub(super) fn load(
        config: &TransformerConfig,
        weights: &Weights<'_>,
        (name, both_sides): (&str, bool),
    ) -> Result<Option<Self>> {
        let Positions::Distances(buckets) = config.positions else { return Ok(None) };
        Ok(Some(Self { buckets, table: weights.get(name)?, both_sides }))
    }

    pub(super) fn behind(&self, offset: usize, is_losable: bool) -> ScoreBias<'_> {
        let (kept, first, is_lost) = (RefCell::new(None), Cell::new(None), Cell::new(false));
        ScoreBias { distances: self, offset, kept, is_losable, first, is_lost }
    }

    /// `[h, queries, keys]`: keys stand at 0, 1, …, queries at `offset`, `offset + 1`, ….
    fn at(&self, queries: usize, keys: usize, offset: usize) -> Result<Tensor> {
        let bucket = |query: usize, key: usize| {
            let distance = key as i64 - (query + offset) as i64;
            self.buckets.bucket(distance, self.both_sides) as u32
        };
        let all: Vec<u32> =
            (0..queries).flat_map(|query| (0..keys).map(move |key| bucket(query, key))).collect();
        let rows = self.table.index_select(&Tensor::new(all, self.table.device())?, 0)?;
        rows.t()?.contiguous()?.reshape(((), queries, keys))
    }
}

impl ScoreBias<'_> {
    /// `[h, queries, keys]`; `None` where the block goes without.
    pub(super) fn at(&self, queries: usize, keys: usize) -> Result<Option<Tensor>> {
        let first = self.first.get().unwrap_or(keys);
        self.first.set(Some(first));
        self.is_lost.set(self.is_lost.get() || self.is_losable && keys != first);
        if self.is_lost.get() {
            return Ok(None);
        }
        let mut kept = self.kept.borrow_mut();
        if let Some((sizes, bias)) = kept.as_ref()
            && *sizes == (queries, keys)
        {
            return Ok(Some(bias.clone()));
        }
        let bias = self.distances.at(queries, keys, self.offset)?;
        *kept = Some(((queries, keys), bias.clone()));
        Ok(Some(bias))
    }
}
