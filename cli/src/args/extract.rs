//! `hub extract`.

use std::path::PathBuf;

use clap::Args;
use hub_schemas::backbone::LinearSite;

use super::made::MadeArgs;

/// Arguments of `hub extract`.
#[derive(Debug, Args)]
#[command(after_help = "\
For every linear layer the difference between both backbones is replaced by the closest matrix of
that rank. The answer says which share of the squared difference is kept: 100 % means that backbone
and adapter together compute what the fine-tuned backbone does. The head of the fine-tuned
checkpoint comes along where it has one.

Example:
  hub extract --base bert-base --tuned my-finetuned-bert --rank 8 -o runs/extracted")]
pub(crate) struct ExtractArgs {
    /// Folder of the backbone that was fine-tuned; by default the configured one
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// The backbone's usual name; by default what its folder says
    #[arg(long, value_name = "NAME")]
    pub(crate) base_id: Option<String>,
    /// Folder of the fine-tuned backbone
    #[arg(long, value_name = "DIR")]
    pub(crate) tuned: PathBuf,
    /// Rank of every layer's update
    #[arg(long, value_name = "R")]
    pub(crate) rank: usize,
    /// Linear layers, besides the pooler [default: all]
    #[arg(long, value_name = "SITES", value_delimiter = ',')]
    pub(crate) targets: Vec<LinearSite>,
    /// Bring along what a LoRA can't express: whole copies of every other tensor that differs. PEFT
    /// can't load copies of biases beside a LoRA on the same layer; `hub` can
    #[arg(long)]
    pub(crate) keep_others: bool,
    /// Leave the fine-tuned checkpoint's head out
    #[arg(long)]
    pub(crate) no_head: bool,
    /// Where the adapter is written; it must be empty or not there
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// What the manifest says
    #[command(flatten)]
    pub(crate) facts: MadeArgs,
}
