//! Learned rows of an embedding table. Equal to PEFT 0.21.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Result, Tensor};
use hub_schemas::{backbone::Module, method::TokensConfig};

use super::{Adapter, take};
use crate::{backbones::EmbeddingInput, init::Initialiser};

/// The rows and which tokens they are for.
#[derive(Debug)]
pub(super) struct Tokens {
    table: Module,
    /// `[tokens, h]`
    rows: Tensor,
    row_of: HashMap<u32, u32>,
}

impl Tokens {
    pub(super) fn new(config: &TokensConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let rows = take(tensors, &format!("{}.tokens", config.table))?;
        let row_of = config.tokens.iter().zip(0..).map(|(&token, row)| (token, row)).collect();
        Ok(Self { table: config.table, rows, row_of })
    }
}

impl Adapter for Tokens {
    fn embedding(&self, at: &EmbeddingInput<'_>, rows: &Tensor) -> Result<Option<Tensor>> {
        if self.table != Module::Embedding(at.table) {
            return Ok(None);
        }
        let ids: Vec<u32> = at.ids.flatten_all()?.to_vec1()?;
        if !ids.iter().any(|id| self.row_of.contains_key(id)) {
            return Ok(None);
        }
        let (b, t, h) = rows.dims3()?;
        // Own rows first, those of the table behind them.
        let all = Tensor::cat(&[&self.rows, &rows.reshape((b * t, h))?], 0)?;
        let behind = self.row_of.len() as u32;
        let places: Vec<u32> =
            ids.iter().zip(behind..).map(|(id, place)| *self.row_of.get(id).unwrap_or(&place)).collect();
        all.index_select(&Tensor::from_vec(places, b * t, rows.device())?, 0)?.reshape((b, t, h)).map(Some)
    }
}

/// Only a start for tests: a fresh adapter takes the table's own rows.
pub(super) fn initialiser() -> Initialiser {
    Initialiser::Normal { std: 0.02 }
}
