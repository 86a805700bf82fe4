#![doc = include_str!("../README.md")]

pub mod bf16;
pub mod few;
#[cfg(test)]
mod numbers;
mod panels;
pub mod single;
mod spread;

pub use panels::Side;
