//! `HiRA` (Huang et al. 2025): `y + (W ⊙ B A) dropout(x)`; in a table row `i` becomes `e + e ⊙ (B A)ᵢ`. Equal to PEFT
//! 0.21.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::Module,
    layout::{Place, Slot},
    method::HiraConfig,
};

use super::{
    Adapter, Update,
    on_linears::{Additive, Delta, at_each},
    take,
};
use crate::{
    backbones::{EmbeddingInput, LinearInput},
    init::Initialiser,
    ops::linear,
};

/// `A [r, in]` and `B [out, r]` of one linear layer or table.
#[derive(Debug)]
pub(super) struct Factors {
    a: Tensor,
    b: Tensor,
}

/// The factors at linear layers and at tables.
#[derive(Debug)]
pub(super) struct Hira {
    linears: Additive<Factors>,
    tables: BTreeMap<Module, Factors>,
}

impl Hira {
    pub(super) fn new(config: &HiraConfig, tensors: &BTreeMap<String, Tensor>, salt: u64) -> Result<Self> {
        let factors = |module: Module| {
            let part = |name: &str| take(tensors, &format!("{module}.{name}"));
            Ok(Factors { a: part("hira_a")?, b: part("hira_b")? })
        };
        let layers = at_each(config.targets.iter().filter(|module| module.is_linear()), factors)?;
        let tables = at_each(config.targets.iter().filter(|module| !module.is_linear()), factors)?;
        Ok(Self { linears: Additive { layers, dropout: config.dropout, salt }, tables })
    }
}

impl Delta for Factors {
    fn delta(&self, x: &Tensor, at: &LinearInput<'_>) -> Result<Tensor> {
        linear(x, &(at.linear.weight()? * self.b.matmul(&self.a)?)?, None)
    }
}

impl Adapter for Hira {
    fn is_at(&self, module: Module) -> bool {
        self.linears.is_at(module) || self.tables.contains_key(&module)
    }

    fn update(&self, at: &LinearInput<'_>, input: &Tensor) -> Result<Option<Update>> {
        self.linears.update(at, input)
    }

    fn embedding(&self, at: &EmbeddingInput<'_>, rows: &Tensor) -> Result<Option<Tensor>> {
        let Some(here) = self.tables.get(&Module::Embedding(at.table)) else { return Ok(None) };
        let ids = at.ids.flatten_all()?;
        let factors = linear(&here.a.index_select(&ids, 1)?.t()?, &here.b, None)?;
        let own = at.weight.rows(&ids)?;
        (rows + (own * factors)?.reshape(rows.shape())?).map(Some)
    }
}

/// One factor starts at zero: a fresh adapter changes nothing.
pub(super) fn initialiser(slot: &Slot) -> Initialiser {
    let is_table = matches!(slot.place, Place::Module(Module::Embedding(_)));
    match (slot.part.as_str(), is_table) {
        ("hira_a", false) => Initialiser::KaimingUniform,
        ("hira_b", true) => Initialiser::Normal { std: 1.0 },
        _ => Initialiser::Constant(0.0),
    }
}
