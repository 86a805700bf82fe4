//! `hub convert`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hub_schemas::{AdapterName, layout};

/// Arguments of `hub convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The adapter's folder
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The format to write
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) to: Target,
    /// The folder to write into; it must be empty or not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Folder of the backbone, when the adapter has no manifest
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// The adapter's name inside tensor names; by default its own
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<AdapterName>,
}

/// A format that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Hugging Face PEFT
    Peft,
    /// AdapterHub's `adapters`
    Adapters,
}

impl From<Target> for layout::Format {
    fn from(target: Target) -> Self {
        match target {
            Target::Peft => Self::Peft,
            Target::Adapters => Self::Adapters,
        }
    }
}
