#![doc = include_str!("../README.md")]

pub mod architectures;
pub mod checkpoint;
