//! `hub run`.

use std::path::PathBuf;

use clap::Args;

use super::stitch::StitchArgs;

/// Arguments of `hub run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints label and probability, separated by tabs; with several texts each line ends with its text.
With `--format json` the scores of all labels are printed too.

  hub run sentiment \"a film to remember\"
  hub run ./my-adapter --base ./all-MiniLM-L6-v2 < lines.txt
  hub run fashion shirt.png")]
pub(crate) struct RunArgs {
    /// Which adapter: a reference, or a folder on this machine
    #[arg(value_name = "REF|DIR")]
    pub(crate) adapter: String,
    /// Texts to label, or PNG and JPEG files where the backbone reads images; without any, every line of
    /// standard input
    #[arg(value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
    /// Folder of the backbone; by default the one with the right weights
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// How it is stitched in
    #[command(flatten)]
    pub(crate) stitch: StitchArgs,
    /// Use a backbone with other weights than the adapter was trained on
    #[arg(long)]
    pub(crate) force: bool,
}
