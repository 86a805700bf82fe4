//! A linear layer of the backbone: frozen, or a trained copy of it.

use candle_core::{Result, Tensor};
use hub_schemas::backbone::Module;

use super::Hooks;
use crate::ops::{self, Arithmetic, FrozenLinear};

/// A linear layer whose weight or bias may be replaced by trained copies.
#[derive(Debug, Clone)]
pub struct Linear {
    frozen: FrozenLinear,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    is_word_table: bool,
}

impl Linear {
    pub(crate) fn frozen(frozen: FrozenLinear) -> Self {
        Self { frozen, weight: None, bias: None, is_word_table: false }
    }

    /// The same as the output layer of a language model, where it is the table of word embeddings.
    #[must_use]
    pub(crate) fn into_word_table(self) -> Self {
        Self { is_word_table: true, ..self }
    }

    /// A layer of a head, frozen or trained.
    pub(crate) fn of_head(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let frozen = Self::frozen(FrozenLinear::new(weight.detach(), bias.map(Tensor::detach))?);
        let trained = |tensor: &Tensor| tensor.is_variable().then(|| tensor.clone());
        Ok(Self { weight: trained(weight), bias: bias.and_then(trained), ..frozen })
    }

    /// The same layer with its products in `arithmetic` where it is frozen.
    pub(crate) fn computing_in(self, arithmetic: Arithmetic) -> Result<Self> {
        Ok(Self { frozen: self.frozen.computing_in(arithmetic)?, ..self })
    }

    /// Whether its weight is the table of word embeddings: what changes that changes it too.
    pub fn is_word_table(&self) -> bool {
        self.is_word_table
    }

    /// The same with the copies that are given, and its own where none are.
    #[must_use]
    pub fn replaced(&self, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Self {
        let or = |copy: Option<&Tensor>, own: &Option<Tensor>| copy.or(own.as_ref()).cloned();
        Self { weight: or(weight, &self.weight), bias: or(bias, &self.bias), ..self.clone() }
    }

    /// The same with the copy of its bias that the hooks have for a module.
    pub(super) fn with_bias_of(&self, hooks: &dyn Hooks, module: Module) -> Self {
        self.replaced(None, hooks.tensor(&format!("{module}.bias")))
    }

    /// The weight, `[out, in]`; restored where it is quantised.
    pub fn weight(&self) -> Result<Tensor> {
        self.weight.as_ref().map_or_else(|| self.frozen.weight(), |weight| Ok(weight.clone()))
    }

    /// Rows of the weight by number, u32 `[n]` to `[n, in]`.
    pub fn rows(&self, numbers: &Tensor) -> Result<Tensor> {
        match &self.weight {
            None => self.frozen.rows(numbers),
            Some(weight) => weight.index_select(numbers, 0),
        }
    }

    /// Outputs and inputs.
    pub fn dims(&self) -> Result<(usize, usize)> {
        self.frozen.dims()
    }

    /// Number of outputs.
    pub fn outputs(&self) -> Result<usize> {
        Ok(self.dims()?.0)
    }

    /// The bias, `[out]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref().or(self.frozen.bias())
    }

    /// `W x`, without the bias.
    pub fn forward_without_bias(&self, x: &Tensor) -> Result<Tensor> {
        match &self.weight {
            None => self.frozen.without_bias().forward(x),
            Some(weight) => ops::linear(x, weight, None),
        }
    }

    /// The layer as it was loaded; `None` where a copy of its weight or bias is trained.
    pub(crate) fn only_frozen(&self) -> Option<&FrozenLinear> {
        (self.weight.is_none() && self.bias.is_none()).then_some(&self.frozen)
    }

    /// `x [.., in]` to `[.., out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match (&self.weight, &self.bias) {
            (None, None) => self.frozen.forward(x),
            (None, Some(bias)) => self.frozen.without_bias().forward(x)?.broadcast_add(bias),
            (Some(weight), _) => ops::linear(x, weight, self.bias()),
        }
    }
}
