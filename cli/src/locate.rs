//! From what a person typed to folders on this machine: the adapter, and the backbone it belongs to.

use std::path::{Path, PathBuf};

use hub_schemas::{Digest, Manifest, manifest::BaseModel};

use crate::{context::Context, failure::UserError};

/// An adapter's folder on this machine.
#[derive(Debug, Clone)]
pub(crate) struct FoundAdapter {
    /// The folder; read it with `AdapterFolder::open`.
    pub(crate) folder: PathBuf,
    /// What it states about itself; a folder that PEFT wrote has none.
    pub(crate) manifest: Option<Manifest>,
    /// How to call it in messages: `ada/sentiment 1.2.0`, or the path.
    pub(crate) title: String,
}

/// A backbone's folder on this machine.
#[derive(Debug, Clone)]
pub(crate) struct FoundBase {
    /// The folder; read it with `BaseFolder::open`.
    pub(crate) folder: PathBuf,
    /// Digest of its weights.
    pub(crate) weights_digest: Digest,
}

impl Context {
    /// The adapter that `text` names: a folder here when there is one, else a
    /// reference, fetched into the cache when it is not there yet. A bare word is
    /// resolved for the backbone in use (`--base`, or the configured one).
    pub(crate) fn find_adapter(&self, text: &str, base: Option<&Path>) -> anyhow::Result<FoundAdapter> {
        let _ = (text, base);
        Err(UserError::new("not there yet").into())
    }

    /// The backbone to use: the one that `--base` names, else the configured one,
    /// else the one among the known folders that has the weights `wanted` asks for.
    /// Another backbone than `wanted` is an error, or with `force` a warning.
    pub(crate) fn find_base(
        &self,
        wanted: Option<&BaseModel>,
        base: Option<&Path>,
        force: bool,
    ) -> anyhow::Result<FoundBase> {
        let _ = (wanted, base, force);
        Err(UserError::new("not there yet").into())
    }
}
