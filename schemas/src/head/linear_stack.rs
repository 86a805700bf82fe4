//! What most heads consist of: linear layers with a non-linearity between them.

use crate::method::Activation;

/// Dropout, linear, activation, …, dropout, linear.
///
/// All layers but the last are `h × h` and have a bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearStack {
    /// Number of linear layers.
    pub layers: usize,
    /// Between the layers; nothing when absent.
    pub activation: Option<Activation>,
    /// Rows of the last layer.
    pub outputs: usize,
    /// Whether the last layer has a bias.
    pub bias: bool,
    /// Probability of dropping an input element of each layer in training.
    pub dropout: f64,
}

impl LinearStack {
    /// Equal up to what is never computed in inference: dropout, and the activation of a single layer.
    pub fn same_in_inference(&self, other: &Self) -> bool {
        let activation = if self.layers == 1 { self.activation } else { other.activation };
        *self == Self { dropout: self.dropout, activation, ..*other }
    }
}
