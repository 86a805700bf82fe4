//! `hub delete`.

use clap::Args;
use hub_schemas::Reference;

/// Arguments of `hub delete`.
#[derive(Debug, Args)]
#[command(after_help = "\
A version can be deleted within three days of its publication, later once it is yanked, and never while another
adapter needs it. Its number does not come back, and those who have it keep it: what must not be used any more is
better yanked. `hub remove` removes from the local cache.

A version needs the role `maintainer`, a whole adapter `owner`, both a token with the scope `admin`. The name of a
deleted adapter stays taken until `hub free`.")]
pub(crate) struct DeleteArgs {
    /// Which version, as in `ada/sentiment@1.2.0`, or with `--all-versions` which adapter
    #[arg(value_name = "NAMESPACE/NAME[@VERSION]")]
    pub(crate) reference: Reference,
    /// Delete the whole adapter
    #[arg(long)]
    pub(crate) all_versions: bool,
    /// Why; shown to whoever looks at the adapter
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}
