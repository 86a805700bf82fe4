//! `hub bake` and `hub unbake`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `hub bake`.
#[derive(Debug, Args)]
#[command(after_help = "\
The baked backbone is a model of its own: it needs no adapter, costs nothing extra, and every
program can load it. The original bytes of what changed are kept in its folder `bake`, so that
`hub unbake` gives back the very files. A head is no part of a backbone: `--head-output` writes it
as an adapter for the baked one.

Examples:
  hub bake --base minilm --adapter runs/reviews -o minilm-reviews --head-output runs/reviews-head
  hub run runs/reviews-head --base minilm-reviews \"what a film\"
  hub unbake minilm-reviews -o minilm-again")]
pub(crate) struct BakeArgs {
    /// Folder of the backbone; by default the configured one, or the one that the adapter names
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// Folder or reference of a LoRA to bake in; may be repeated
    #[arg(long = "adapter", value_name = "ADAPTER", required = true)]
    pub(crate) adapters: Vec<String>,
    /// One weight per adapter; a negative one subtracts [default: 1 for each]
    #[arg(long, value_name = "W,...", value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) weights: Vec<f64>,
    /// Where the backbone is written; it must be empty or not there
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Where the adapter's head is written, as an adapter for the baked backbone
    #[arg(long, value_name = "DIR")]
    pub(crate) head_output: Option<PathBuf>,
    /// Use a backbone with other weights than the adapter was trained on
    #[arg(long)]
    pub(crate) force: bool,
}

/// Arguments of `hub unbake`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every weights file gets its original bytes back, which their digests prove. The baked folder stays.

Example:
  hub unbake minilm-reviews -o minilm-again")]
pub(crate) struct UnbakeArgs {
    /// Folder that `hub bake` wrote
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Where the backbone is written; it must be empty or not there
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,
}
