//! `hub merge`.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use hub_client::merging::{HeadRule, MajoritySign, MergeKind};

use super::made::MadeArgs;

/// Arguments of `hub merge`.
#[derive(Debug, Args)]
#[command(after_help = "\
Rules for LoRA (w: weight, dW: update):
  cat                  sum of w dW, exact; the ranks add up
  svd                  the best update of --rank of that sum
  linear               factor by factor, ranks equal; cheap, with cross terms
  ties, ties_svd       largest elements, majority sign, mean of those that agree
  dare_linear, dare_ties, dare_linear_svd, dare_ties_svd
                       random elements dropped, the rest rescaled
  magnitude_prune, magnitude_prune_svd
                       largest elements, then the sum
  average              weighted mean tensor by tensor, for adapters of any method
  lora_linear_only_negate_b, lora_delta_w_svd
                       two more of the library `adapters`
Without `_svd` a rule works on the factors A and B, with it on dW.

Examples:
  hub merge runs/reviews runs/tweets --rule ties --weights 0.7,0.3 -o runs/both
  hub merge ada/reviews ada/tweets@1.2.0 --rule svd --rank 8 -o runs/both
  hub merge runs/helpful runs/toxic --weights 1,-0.5 --head 1 -o runs/calmer")]
pub(crate) struct MergeArgs {
    /// Folders or references of the adapters, all for one backbone
    #[arg(value_name = "ADAPTER", required = true)]
    pub(crate) adapters: Vec<String>,
    /// How they become one
    #[arg(long, value_name = "RULE", default_value = "cat")]
    pub(crate) rule: MergeKind,
    /// One weight per adapter; a negative one subtracts [default: 1 for ties rules, else 1/N]
    #[arg(long, value_name = "W,...", value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) weights: Vec<f64>,
    /// Share of the elements that ties, dare and pruning keep [default: 0.2 for ties, else 0.5]
    #[arg(long, value_name = "SHARE")]
    pub(crate) density: Option<f64>,
    /// Rank of the result, for rules that decompose [default: the largest that goes in]
    #[arg(long, value_name = "R")]
    pub(crate) rank: Option<usize>,
    /// How ties finds signs: `total` or `frequency`
    #[arg(long, value_name = "HOW", default_value = "total")]
    pub(crate) majority_sign: MajoritySign,
    /// Quantile at which rules that decompose clamp the factors [default: no clamping]
    #[arg(long, value_name = "Q")]
    pub(crate) clamp: Option<f64>,
    /// Scale the weights to a sum of one (average and the rules of `adapters`)
    #[arg(long, visible_alias = "normalize")]
    pub(crate) normalise: bool,
    /// Where dare's random numbers start
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Head of the result: `auto` (their weighted mean, where labels agree), `none`, or that of
    /// the first (`1`), second (`2`), ... adapter
    #[arg(long, value_name = "WHICH", default_value = "auto")]
    pub(crate) head: HeadName,
    /// Folder of the backbone, when no adapter has a manifest
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// Where the merged adapter is written; it must be empty or not there
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// What the manifest says
    #[command(flatten)]
    pub(crate) facts: MadeArgs,
}

/// Which head, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadName(pub(crate) HeadRule);

impl FromStr for HeadName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = || text.parse().ok().filter(|number| *number > 0).map(HeadRule::Of);
        match text {
            "auto" => Ok(Self(HeadRule::Auto)),
            "none" => Ok(Self(HeadRule::Drop)),
            _ => number().map(Self).ok_or_else(|| {
                format!("`{text}` is neither `auto` nor `none` nor the number of an adapter, such as `1`")
            }),
        }
    }
}
