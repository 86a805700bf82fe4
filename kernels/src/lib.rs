#![doc = include_str!("../README.md")]

pub mod bf16;
#[cfg(test)]
mod numbers;
pub mod few;
mod panels;
pub mod single;
mod spread;

pub use panels::Side;
