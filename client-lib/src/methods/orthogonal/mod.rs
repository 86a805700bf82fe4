//! Methods that rotate the input of linear layers.

mod blocks;
pub(super) mod boft;
pub(super) mod oft;
