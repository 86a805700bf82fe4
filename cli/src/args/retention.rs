//! `hub retention`.

use clap::{Args, Subcommand};
use hub_schemas::{Namespace, api::RetentionRules};

/// Arguments of `hub retention`.
#[derive(Debug, Args)]
#[command(after_help = "\
The registry applies the rules every hour. A version that an adapter needs stays, releases that are not yanked
always do, and the number of a deleted version never comes back. These need the role `owner` in the namespace
and a token with the scope `admin`.")]
pub(crate) struct RetentionArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: RetentionVerb,
}

/// What can be done with rules.
#[derive(Debug, Subcommand)]
pub(crate) enum RetentionVerb {
    /// Show which versions of a namespace are deleted by rule
    Show {
        /// The namespace
        namespace: Namespace,
    },
    /// Set the rules in place of those there are; without any, nothing is deleted
    Set {
        /// The namespace
        namespace: Namespace,
        /// The rules.
        #[command(flatten)]
        rules: RuleArgs,
        /// Only say what these rules would delete now
        #[arg(long)]
        dry_run: bool,
    },
}

/// The rules.
#[derive(Debug, Args)]
pub(crate) struct RuleArgs {
    /// Delete pre-releases that were published more than so many days ago
    #[arg(long, value_name = "N")]
    prerelease_days: Option<u32>,
    /// … but never the newest so many of an adapter
    #[arg(long, value_name = "N", default_value_t = 0, requires = "prerelease_days")]
    keep_prereleases: u32,
    /// Delete versions that have been yanked for more than so many days
    #[arg(long, value_name = "N")]
    yanked_days: Option<u32>,
}

impl From<&RuleArgs> for RetentionRules {
    fn from(args: &RuleArgs) -> Self {
        Self {
            prerelease_days: args.prerelease_days,
            keep_prereleases: args.keep_prereleases,
            yanked_days: args.yanked_days,
        }
    }
}
