//! `hub run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hub_client::generation::EarlyStopping;

use super::stitch::StitchArgs;

/// How a language model answers; nothing to do with models that label.
#[derive(Debug, Args)]
#[command(next_help_heading = "Language models")]
pub(crate) struct GenerationArgs {
    /// Tokens of an answer at most; by default 256, or what a base model with encoder and decoder states
    #[arg(long, value_name = "N")]
    pub(crate) max_new_tokens: Option<usize>,
    /// How daring the choice of tokens is; 0 always takes the most probable one
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = not_negative)]
    pub(crate) temperature: f64,
    /// Draw from so many of the most probable tokens only
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top_k: Option<u32>,
    /// Draw from the most probable tokens that are together as probable as this
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = share)]
    pub(crate) top_p: f64,
    /// Make tokens less likely that stand there already; 1 changes nothing
    #[arg(long, value_name = "F", value_parser = positive)]
    pub(crate) repetition_penalty: Option<f64>,
    /// Let no sequence of so many tokens stand there twice; 0 allows any
    #[arg(long, value_name = "N")]
    pub(crate) no_repeat_ngram: Option<usize>,
    /// Continue so many texts side by side and answer with the most probable one; 1 for one alone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) beams: Option<u8>,
    /// Favour long texts among the beams, or short ones where negative
    #[arg(long, value_name = "F", value_parser = any, allow_negative_numbers = true)]
    pub(crate) length_penalty: Option<f64>,
    /// When beams are not searched any further
    #[arg(long, value_name = "WHEN")]
    pub(crate) early_stopping: Option<EarlyStoppingArg>,
    /// End the answer in front of this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// What draws follow from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

/// When beams are not searched any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EarlyStoppingArg {
    /// As soon as there are as many finished texts as beams
    True,
    /// When the best beam, ending now, would be worse than the finished texts
    False,
    /// When no text of any length could be better
    Never,
}

impl From<EarlyStoppingArg> for EarlyStopping {
    fn from(arg: EarlyStoppingArg) -> Self {
        match arg {
            EarlyStoppingArg::True => Self::Full,
            EarlyStoppingArg::False => Self::Unlikely,
            EarlyStoppingArg::Never => Self::Never,
        }
    }
}

fn any(text: &str) -> Result<f64, String> {
    number(text, |_| true, "it must be a number")
}

fn number(text: &str, is_good: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    text.parse().ok().filter(|&n: &f64| n.is_finite() && is_good(n)).ok_or_else(|| expected.to_owned())
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, |n| n >= 0.0, "it must be 0 or a positive number")
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |n| n > 0.0, "it must be a positive number")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |n| (0.0..=1.0).contains(&n), "it must lie between 0 and 1")
}

/// Arguments of `hub run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints label and probability, separated by tabs; with several texts each line ends with its text. Tags are
printed one word a line, trees as CoNLL-U, an answer or a choice with its probability; of embeddings the cosine of
two texts, or how the vector of one begins. With `--format json` everything is printed, whole vectors too.

  hub run sentiment \"a film to remember\"
  hub run entities \"Ada Lovelace was born in London.\"
  hub run entailment \"A dog sleeps.\" --pair \"An animal rests.\"
  hub run answers \"Who was born?\" --pair \"Ada Lovelace was born in London.\"
  hub run stories \"The film was dull.\" --choice \"We left early.\" --choice \"We saw it again.\"
  hub run ./my-adapter --base ./all-MiniLM-L6-v2 < lines.txt
  hub run fashion shirt.png
  hub run vectors \"A dog sleeps.\" --pair \"An animal rests.\"
  hub run vectors --format json \"A dog sleeps.\"

A language model answers instead, as it writes; `None` in place of an adapter is the plain backbone:

  hub run None --base SmolLM2-135M-Instruct.gguf \"What is a backbone?\"
  hub run ./my-style --base ./smollm2 --temperature 0.7 --top-p 0.9 \"Write a headline.\"
  hub run None --base ./flan-t5-small --beams 4 \"translate English to German: The house is small.\"

A base model of speech writes down what is said in recordings:

  hub run None --base ./whisper-tiny talk.wav

What is not given is what the base model's `generation_config.json` states, but for the drawing of tokens.")]
pub(crate) struct RunArgs {
    /// Which adapter: a reference, or a folder on this machine; `None` for the plain language model
    #[arg(value_name = "REF|DIR")]
    pub(crate) adapter: String,
    /// Texts to label, or files where the backbone reads images (PNG, JPEG) or recordings (WAV); without any, every
    /// line of standard input
    #[arg(value_name = "TEXT")]
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
    /// Folder of the backbone; by default the one with the right weights
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// How it is stitched in
    #[command(flatten)]
    pub(crate) stitch: StitchArgs,
    /// How language models answer
    #[command(flatten)]
    pub(crate) generation: GenerationArgs,
    /// What the model is told in front of the conversation
    #[arg(long, value_name = "TEXT", conflicts_with = "raw", help_heading = "Language models")]
    pub(crate) system: Option<String>,
    /// Continue the text as it is, without the base model's chat template
    #[arg(long, help_heading = "Language models")]
    pub(crate) raw: bool,
    /// What is spoken in a recording, as in `de`; recognised by a base model of several languages
    #[arg(long, value_name = "CODE", help_heading = "Language models")]
    pub(crate) language: Option<String>,
    /// What becomes of a recording, as in `transcribe`, or `translate` into English
    #[arg(long, value_name = "TASK", help_heading = "Language models")]
    pub(crate) task: Option<String>,
    /// Use a backbone with other weights than the adapter was trained on
    #[arg(long)]
    pub(crate) force: bool,
}
