//! `hub explain`.

use std::path::PathBuf;

use clap::Args;

use super::stitch::StitchArgs;

/// Arguments of `hub explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Shows for every layer how much each member of a fusion counted, and how far the gates of gated
adapters (UniPELT) were open: the mean over the tokens of the texts. Other adapters choose nothing.

  hub explain ./legal-finance \"the licensee shall pay interest\" --output attention.svg")]
pub(crate) struct ExplainArgs {
    /// Which adapter: a reference, or a folder on this machine
    #[arg(value_name = "REF|DIR")]
    pub(crate) adapter: String,
    /// Texts to explain
    #[arg(value_name = "TEXT", required = true)]
    pub(crate) texts: Vec<String>,
    /// A second text that belongs to every text: the hypothesis to a premise, the passage to a question
    #[arg(long, value_name = "TEXT")]
    pub(crate) pair: Option<String>,
    /// Every text is two, with a tab between them; a question and its passage always are
    #[arg(long, conflicts_with = "pair")]
    pub(crate) pairs: bool,
    /// A text that could follow or answer every text; repeat for each, of which one is chosen. Without it, a text
    /// stands in front of its choices, tabs between them
    #[arg(long = "choice", value_name = "TEXT", conflicts_with_all = ["pair", "pairs"])]
    pub(crate) choices: Vec<String>,
    /// Draw a heat map into this file
    #[arg(long, short, value_name = "FILE.svg")]
    pub(crate) output: Option<PathBuf>,
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
