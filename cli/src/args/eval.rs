//! `hub eval`.

use std::path::PathBuf;

use clap::Args;

use super::{run::GenerationArgs, stitch::StitchArgs, train::ColumnArgs};

/// Arguments of `hub eval`.
#[derive(Debug, Args)]
#[command(after_help = "\
A language model is measured by how well it foresees the right answers (perplexity); with `--generate` it writes its
own, too, which are compared with the right ones (ROUGE, BLEU). A base model of speech is measured by its word error
rate, on rows of recordings (`audio`) with what was said (`text`). `None` in place of an adapter is the plain backbone:

  hub eval sentiment --data held-out.csv
  hub eval ./headlines --data news.csv --generate --max-new-tokens 32
  hub eval None --base SmolLM2-135M-Instruct.gguf --data news.csv --generate
  hub eval None --base ./whisper-tiny --data spoken.csv")]
pub(crate) struct EvalArgs {
    /// Which adapter: a reference, or a folder on this machine; `None` for a plain model that writes
    #[arg(value_name = "REF|DIR")]
    pub(crate) adapter: String,
    /// Folder of the backbone; by default the one with the right weights
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// Examples with what is right: .csv, .tsv, .jsonl, .conll, .conllu, .json or .txt, as the adapter was trained on
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Where text and label stand
    #[command(flatten)]
    pub(crate) columns: ColumnArgs,
    /// Examples per forward pass
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch_size: u16,
    /// Write an answer to every example, and compare it with the right one
    #[arg(long, help_heading = "Language models")]
    pub(crate) generate: bool,
    /// How answers are written
    #[command(flatten)]
    pub(crate) generation: GenerationArgs,
    /// How it is stitched in
    #[command(flatten)]
    pub(crate) stitch: StitchArgs,
    /// Use a backbone with other weights than the adapter was trained on
    #[arg(long)]
    pub(crate) force: bool,
}
