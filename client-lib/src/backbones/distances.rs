//! A learned number for every head and distance, added to the scores of attention.

use std::cell::RefCell;

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

    pub(super) fn behind(&self, offset: usize) -> ScoreBias<'_> {
        ScoreBias { distances: self, offset, kept: RefCell::new(None) }
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
    /// `[h, queries, keys]`.
    pub(super) fn at(&self, queries: usize, keys: usize) -> Result<Tensor> {
        let mut kept = self.kept.borrow_mut();
        if let Some((sizes, bias)) = kept.as_ref()
            && *sizes == (queries, keys)
        {
            return Ok(bias.clone());
        }
        let bias = self.distances.at(queries, keys, self.offset)?;
        *kept = Some(((queries, keys), bias.clone()));
        Ok(bias)
    }
}
