//! Methods that rotate or reflect the input of linear layers.

mod blocks;
pub(super) mod boft;
pub(super) mod columns;
pub(super) mod hra;
pub(super) mod oft;
