#![doc = include_str!("../README.md")]

pub mod bundle;
pub mod cache;
pub mod digits;
pub mod exchange;
pub mod files;
pub mod registry;

#[cfg(feature = "stitch")]
pub mod audio;
#[cfg(feature = "stitch")]
pub mod backbones;
#[cfg(feature = "stitch")]
pub mod composition;
#[cfg(feature = "stitch")]
pub mod data;
#[cfg(feature = "stitch")]
pub mod generation;
#[cfg(feature = "stitch")]
pub mod heads;
pub mod heatmap;
#[cfg(feature = "stitch")]
pub mod images;
#[cfg(feature = "stitch")]
mod init;
#[cfg(feature = "stitch")]
pub mod inputs;
#[cfg(feature = "stitch")]
pub mod merging;
#[cfg(feature = "stitch")]
pub mod methods;
#[cfg(feature = "stitch")]
pub mod metrics;
#[cfg(feature = "stitch")]
pub mod model;
#[cfg(feature = "stitch")]
pub mod ops;
#[cfg(feature = "stitch")]
mod orthonormal;
#[cfg(feature = "stitch")]
pub mod params;
#[cfg(feature = "stitch")]
pub mod predict;
#[cfg(feature = "stitch")]
mod random;
#[cfg(feature = "stitch")]
pub mod tasks;
#[cfg(feature = "stitch")]
pub mod tensors;
#[cfg(feature = "stitch")]
pub mod text;
#[cfg(feature = "stitch")]
pub mod training;
#[cfg(feature = "stitch")]
pub mod vision;

/// Where tensors lie and computations run.
#[cfg(feature = "stitch")]
pub use candle_core::{Device, Tensor};
