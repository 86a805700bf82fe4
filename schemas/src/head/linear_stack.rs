//! What most heads consist of: linear layers with a non-linearity between them.

use crate::method::Activation;

/// Dropout, linear, activation, …, dropout, linear.
///
/// All layers but the last have a bias and so many outputs as the hidden size, or as `width` says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearStack {
    /// Number of linear layers.
    pub layers: usize,
    /// Between the layers; nothing when absent.
    pub activation: Option<Activation>,
    /// Rows of the last layer.
    pub outputs: usize,
    /// Rows of the others, where that is not the hidden size.
    pub width: Option<usize>,
    /// Whether the last layer has a bias.
    pub bias: bool,
    /// Probability of dropping an input element of each layer in training.
    pub dropout: f64,
}

impl LinearStack {
    /// Equal up to what is never computed in inference: dropout, and the activation of a single layer.
    pub fn same_in_inference(&self, other: &Self) -> bool {
        let is_single = self.layers == 1;
        let activation = if is_single { self.activation } else { other.activation };
        let width = if is_single { self.width } else { other.width };
        *self == Self { dropout: self.dropout, activation, width, ..*other }
    }
}
