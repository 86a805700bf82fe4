//! `hub yank`.

use clap::Args;
use hub_schemas::Reference;

/// Arguments of `hub yank`.
#[derive(Debug, Args)]
#[command(after_help = "\
A yanked version is not chosen any more and not listed in search, but whoever names it exactly still
gets it, with a warning and the reason.")]
pub(crate) struct YankArgs {
    /// Which version, as in `ada/sentiment@1.2.0`
    #[arg(value_name = "NAMESPACE/NAME@VERSION")]
    pub(crate) reference: Reference,
    /// Why; shown to whoever asks for the version
    #[arg(long, value_name = "TEXT", required_unless_present = "undo")]
    pub(crate) reason: Option<String>,
    /// Bring the version back
    #[arg(long, conflicts_with = "reason")]
    pub(crate) undo: bool,
}
