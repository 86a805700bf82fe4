//! `hub move` and `hub free`.

use clap::Args;
use hub_schemas::AdapterId;

/// Arguments of `hub move`.
#[derive(Debug, Args)]
#[command(after_help = "\
The old name leads to the new one: `hub pull` follows and says so. Versions, their digests, pulls and roles stay.
This needs the role `owner` in the namespace that the adapter leaves, `writer` in the one where it goes, and a token
with the scope `admin`.")]
pub(crate) struct MoveArgs {
    /// The adapter
    #[arg(value_name = "NAMESPACE/NAME")]
    pub(crate) from: AdapterId,
    /// Its new name, in the same namespace or another one
    #[arg(value_name = "NEW-NAMESPACE/NEW-NAME")]
    pub(crate) to: AdapterId,
}

/// Arguments of `hub free`.
#[derive(Debug, Args)]
#[command(after_help = "\
Whoever still uses the name gets from now on what is published there. Numbers of versions that were published under
it never come back. This needs the role `owner` in the namespace and a token with the scope `admin`.")]
pub(crate) struct FreeArgs {
    /// The name
    #[arg(value_name = "NAMESPACE/NAME")]
    pub(crate) name: AdapterId,
}
