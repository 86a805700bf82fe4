//! Relative positions of disentangled attention: their table, and what a block makes of it.

use candle_core::{DType, Result, Tensor};
use hub_formats::architectures::{Disentangled, TransformerConfig};
use hub_schemas::backbone::{LinearSite, Module};

use super::{Context, Hooks, Linear, block::Pass, weights::Weights};
use crate::ops::{KeyMask, Norm, PositionScores, RelativePositions, disentangled};

/// The table of relative positions, `[rows, h]`, and its norm.
#[derive(Debug, Clone)]
pub(super) struct RelativeTable {
    config: Disentangled,
    table: Option<Tensor>,
    norm: Option<Norm>,
}

/// The table and the positions of one forward pass.
pub(super) struct Relative {
    /// `[1, rows, h]`
    rows: Tensor,
    positions: RelativePositions,
}

/// What a block needs for disentangled attention.
#[derive(Debug, Clone)]
pub(super) struct RelativeBlock {
    config: Disentangled,
    key: Option<Linear>,
    query: Option<Linear>,
}

/// What is attended to, `[b, t, h]` and `[b, s, h]`, and the input's keys before anything was put in.
pub(super) struct Attended<'a> {
    pub(super) queries: &'a Tensor,
    pub(super) keys: &'a Tensor,
    pub(super) values: &'a Tensor,
    pub(super) own_keys: &'a Tensor,
    pub(super) mask: &'a KeyMask,
    pub(super) own_mask: &'a KeyMask,
}

impl RelativeTable {
    pub(super) fn load(config: &TransformerConfig, weights: &Weights<'_>) -> Result<Option<Self>> {
        let Some(own) = config.encoder.disentangled else { return Ok(None) };
        let norm = own.has_norm.then(|| weights.norm(&Module::RelativeNorm.to_string(), config));
        let table = own.is_relative.then(|| weights.get("relative.table")).transpose()?;
        Ok(Some(Self { config: own, table, norm: norm.transpose()? }))
    }

    pub(super) fn norm(&self) -> Option<&Norm> {
        self.norm.as_ref()
    }

    /// For `tokens` tokens.
    pub(super) fn at(&self, tokens: usize, hooks: &dyn Hooks) -> Result<Option<Relative>> {
        let Some(table) = &self.table else { return Ok(None) };
        let rows = match &self.norm {
            Some(norm) => norm.with(hooks, &Module::RelativeNorm.to_string()).forward(table)?,
            None => table.clone(),
        };
        let Disentangled { buckets, farthest, .. } = self.config;
        let positions = RelativePositions::new(tokens, buckets, farthest, table.device())?;
        Ok(Some(Relative { rows: rows.unsqueeze(0)?, positions }))
    }
}

impl RelativeBlock {
    pub(super) fn load(
        index: usize,
        config: &TransformerConfig,
        weights: &Weights<'_>,
    ) -> Result<Option<Self>> {
        let Some(own) = config.encoder.disentangled else { return Ok(None) };
        let is_apart = own.is_relative && !own.shares_projections;
        let linear = |wanted: bool, name: &str| {
            let there = is_apart && wanted;
            there.then(|| weights.linear(&format!("layers.{index}.{name}"), config, true)).transpose()
        };
        Ok(Some(Self {
            config: own,
            key: linear(own.content_to_position, "relative_key")?,
            query: linear(own.position_to_content, "relative_query")?,
        }))
    }

    /// The attention; `project` is the block's own projection of some input.
    pub(super) fn forward(
        &self,
        heads: usize,
        at: &Attended<'_>,
        pass: &Pass<'_>,
        project: impl Fn(LinearSite, &Tensor, &Pass<'_>) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let all = [at.queries, at.keys, at.values];
        let terms = self.config.terms();
        let Some(relative) = pass.relative else {
            return disentangled(heads, all, (terms, None), at.mask, at.own_mask);
        };
        let rows = &relative.rows;
        let attention_mask = Tensor::ones((1, rows.dim(1)?), DType::U32, rows.device())?;
        let context = Context { attention_mask, batch: 1, prompt_tokens: 0, ..pass.context.clone() };
        let pass = Pass { context: &context, ..*pass };
        let vectors = |wanted: bool, own: Option<&Linear>, site: LinearSite| match (wanted, own) {
            (false, _) => Ok(None),
            (true, Some(linear)) => linear.forward(rows).map(Some),
            (true, None) => project(site, rows, &pass).map(Some),
        };
        let keys = vectors(self.config.content_to_position, self.key.as_ref(), LinearSite::Key)?;
        let queries = vectors(self.config.position_to_content, self.query.as_ref(), LinearSite::Query)?;
        let scores = PositionScores {
            positions: &relative.positions,
            keys: keys.as_ref(),
            queries: queries.as_ref(),
            own_keys: at.own_keys,
        };
        disentangled(heads, all, (terms, Some(scores)), at.mask, at.own_mask)
    }
}
