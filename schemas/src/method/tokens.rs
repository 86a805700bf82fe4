//! Trainable tokens: some rows of an embedding table are learned, the others stay.
//!
//! PEFT's `TrainableTokensConfig`, and `trainable_token_indices` of its LoRA. The file
//! holds the rows themselves; that PEFT calls them `delta` means nothing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, Module, Table},
    layout::{Place, Slot},
};

/// Which tokens have embeddings of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokensConfig {
    /// The embedding table.
    #[schema(value_type = String)]
    pub table: Module,
    /// Rows of the table, in the order of the file.
    pub tokens: Vec<u32>,
    /// Whether it accompanies another method of PEFT, which names its tensor differently.
    #[serde(default)]
    pub beside: bool,
    /// Whether the file has the rows a second time, for the output layer that is tied to the table.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

impl TokensConfig {
    /// The table.
    pub fn embedding(&self) -> Option<Table> {
        match self.table {
            Module::Embedding(table) => Some(table),
            _ => None,
        }
    }
}

impl MethodSpec for TokensConfig {
    fn kind(&self) -> &'static str {
        "tokens"
    }

    fn summary(&self) -> String {
        format!("{} tokens of {}", self.tokens.len(), self.table)
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        if self.embedding().is_none() {
            let expected = "only embedding tables have tokens";
            return Err(MethodError::Module { field: "table", module: self.table, expected });
        }
        let (rows, _) = shape.module_dims(self.table);
        spec::within("tokens", self.tokens.len(), 1..=rows, "as many as the table has rows at most")?;
        let largest = self.tokens.iter().copied().max().unwrap_or(0) as usize;
        spec::within("tokens", largest, 0..rows, "every token must be a row of the table")?;
        let distinct: std::collections::BTreeSet<u32> = self.tokens.iter().copied().collect();
        let expected = "no token may stand there twice";
        spec::within("tokens", self.tokens.len(), distinct.len()..=distinct.len(), expected)
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let (_, width) = shape.module_dims(self.table);
        let rows = |module| Slot::new(Place::Module(module), "tokens", &[self.tokens.len(), width]);
        let output = self.repeated.then(|| rows(Module::Output));
        std::iter::once(rows(self.table)).chain(output).collect()
    }
}
