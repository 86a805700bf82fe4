//! Why a model can't be put together.

use std::path::PathBuf;

use hub_formats::checkpoint::CheckpointError;
use hub_schemas::{
    backbone::{Architecture, Module},
    method::MethodError,
};

use crate::{
    composition::{ExpressionError, StitchError},
    heads::HeadLoadError,
};

/// Why a model can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A folder can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The method does not fit the backbone.
    #[error("the adapter does not fit the base model: {0}")]
    Method(#[from] MethodError),
    /// The adapters can't be composed.
    #[error(transparent)]
    Stitch(#[from] StitchError),
    /// The saved expression can't be read.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// The adapter is for another architecture.
    #[error("the adapter in `{folder}` is for {adapter}, the base model is {base}")]
    Architecture {
        /// The adapter's folder.
        folder: PathBuf,
        /// Its architecture.
        adapter: Architecture,
        /// The backbone's.
        base: Architecture,
    },
    /// The adapter changes a module that the backbone does not have.
    #[error(
        "the adapter changes `{module}`, which {base} models do not have; linear layers of theirs are: {sites}"
    )]
    Module {
        /// The module.
        module: Module,
        /// The backbone's architecture.
        base: Architecture,
        /// Names of the linear layers it has.
        sites: String,
    },
    /// The adapter changes a layer of a head that the model does not have.
    #[error("the adapter changes `{module}`, a layer of the base model's head; the head here is: {head}")]
    HeadModule {
        /// The layer.
        module: Module,
        /// What the head does.
        head: &'static str,
    },
    /// A composition where an adapter is needed.
    #[error("`{}` holds a composition, which can't be a member of another one", .0.display())]
    Nested(PathBuf),
    /// A member that has nothing to fuse.
    #[error("`{name}` has no bottleneck layers ({method}): a fusion attends to what bottlenecks give")]
    NotFusible {
        /// The adapter's name.
        name: String,
        /// What it is.
        method: String,
    },
    /// The adapter means something else where it comes from.
    #[error("`{}` can't be run as its own library runs it: {reason}", folder.display())]
    Imported {
        /// The adapter's folder.
        folder: PathBuf,
        /// Why not, and what helps.
        reason: &'static str,
    },
    /// The adapter changes what the heads of groups of rows share.
    #[error(
        "the adapter `{name}` changes `{module}`, and every member of the composition has a head of its own: run it alone \
         or in a `Stack`"
    )]
    HeadInGroups {
        /// The adapter's name.
        name: String,
        /// The layer.
        module: Module,
    },
    /// The head does not fit the backbone.
    #[error(transparent)]
    Head(#[from] HeadLoadError),
    /// The tensors can't be used.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
