//! `hub config`.

use clap::{Args, Subcommand};

/// Arguments of `hub config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Show every key with its value and where that comes from
    List,
    /// Print the value of a key
    Get {
        /// The key
        key: String,
    },
    /// Write a value into the configuration file
    Set {
        /// The key
        key: String,
        /// The value; several for a list
        #[arg(required = true)]
        values: Vec<String>,
    },
    /// Take a key out of the configuration file
    Unset {
        /// The key
        key: String,
    },
    /// Print the path of the configuration file
    Path,
}
