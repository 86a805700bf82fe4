//! `hub delete`.

use clap::Args;
use hub_schemas::Reference;

/// Arguments of `hub delete`.
#[derive(Debug, Args)]
#[command(after_help = "\
A version can be deleted within three days of its publication, later once it is yanked, and never while another
adapter needs it. Its number does not come back, and those who have it keep it: what must not be used any more is
better yanked. `hub remove` removes from the local cache.")]
pub(crate) struct DeleteArgs {
    /// Which version, as in `ada/sentiment@1.2.0`
    #[arg(value_name = "NAMESPACE/NAME@VERSION")]
    pub(crate) reference: Reference,
    /// Why; shown to whoever looks at the adapter
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}
