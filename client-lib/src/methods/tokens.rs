//! Learned rows of an embedding table, and of the output layer that is tied to it. Equal to PEFT 0.21.

use std::collections::{BTreeMap, HashMap};

use candle_core::{D, Result, Tensor};
use hub_schemas::{
    backbone::{Module, Table},
    method::TokensConfig,
};

use super::{Adapter, Update, take};
use crate::{
    backbones::{EmbeddingInput, LinearInput},
    init::Initialiser,
    ops::linear,
};

/// The rows and which tokens they are for.
#[derive(Debug)]
pub(super) struct Tokens {
    table: Module,
    /// `[tokens, h]`
    rows: Tensor,
    /// Of the output layer that is tied to the table.
    output_rows: Tensor,
    row_of: HashMap<u32, u32>,
    /// The token of each row, u32 `[tokens]`.
    places: Tensor,
}

impl Tokens {
    pub(super) fn new(config: &TokensConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let rows = take(tensors, &format!("{}.tokens", config.table))?;
        let output_rows = if config.repeated {
            take(tensors, &format!("{}.tokens", Module::Output))?
        } else {
            rows.clone()
        };
        let row_of = config.tokens.iter().zip(0..).map(|(&token, row)| (token, row)).collect();
        let places = Tensor::new(config.tokens.as_slice(), rows.device())?;
        Ok(Self { table: config.table, rows, output_rows, row_of, places })
    }
}

impl Adapter for Tokens {
    fn is_at(&self, module: Module) -> bool {
        module == Module::Output && self.table == Module::Embedding(Table::Word)
    }

    /// Of scores `x · Wᵀ`, `[b, t, vocabulary]`: those of the tokens become `x · rowsᵀ`.
    fn update(&self, at: &LinearInput<'_>, input: &Tensor) -> Result<Option<Update>> {
        if !self.is_at(at.module) || !at.linear.is_word_table() {
            return Ok(None);
        }
        let change = (&self.output_rows - at.linear.rows(&self.places)?)?;
        let change = linear(input, &change, None)?;
        let mut shape = change.dims().to_vec();
        shape.pop();
        shape.push(at.linear.outputs()?);
        let none = Tensor::zeros(shape, change.dtype(), change.device())?;
        none.index_add(&self.places, &change, D::Minus1).map(Update::Add).map(Some)
    }

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
