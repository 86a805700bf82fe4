//! `hub train`.

use std::{ops::RangeInclusive, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use hub_client::{
    data::{ColumnRef, TaskKind},
    metrics::Metric,
};
use hub_schemas::{
    AdapterId, Version,
    backbone::LinearSite,
    label::{Language, License, TaskId},
};

use super::{compute::ComputeArgs, forward::NamedFolder};

/// Arguments of `hub train`.
#[derive(Debug, Args)]
#[command(after_help = "\
The data says what is learned, or `--head` does:

  .csv .tsv .jsonl  a text, or two that belong together, with a label, labels or a number on every row;
                    a prompt with its answer, or a text with the one to be written, for language models
                    a recording with what is said in it, for models of speech (`audio`, `text`)
                    a text with choices, and which of them is right
                    two texts with a score of how alike they are, for vectors of texts, with `--head embedding`
  .conll .conllu    a word with its tag on every line, an empty line between sentences
                    trees of .conllu files with `--head dependency-parsing`
  .json             questions about passages, as SQuAD has them
  .txt              a text on every line, for a masked language model, or for a decoder that writes

The folder it writes can be published with `hub push` and tried with `hub run`.

Ctrl-C saves the run; `--resume` goes on with it and ends with exactly the same bytes. The same data,
backbone, options and seed give the same adapter, digest included.")]
pub(crate) struct TrainArgs {
    /// Folder of the backbone; by default the configured one
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// The backbone's usual name; by default what its folder says
    #[arg(long, value_name = "NAME")]
    pub(crate) base_id: Option<String>,
    /// Where the adapter is written
    #[arg(long, short, value_name = "DIR", required_unless_present = "dry_run")]
    pub(crate) output: Option<PathBuf>,
    /// What is read, and how it is split
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// What is trained
    #[command(flatten)]
    pub(crate) method: MethodArgs,
    /// What is fused
    #[command(flatten)]
    pub(crate) fuse: FuseArgs,
    /// What it is trained on top of
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    /// How it is trained
    #[command(flatten)]
    pub(crate) steering: SteeringArgs,
    /// What the manifest says
    #[command(flatten)]
    pub(crate) facts: FactArgs,
    /// Go on with the interrupted run in the output folder
    #[arg(long, conflicts_with = "overwrite")]
    pub(crate) resume: bool,
    /// Start again, and replace what lies in the output folder when done
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Say what would be trained, but train nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// Examples to train on: .csv, .tsv, .jsonl, .conll, .conllu, .json or .txt
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Examples that decide which checkpoint is kept; by default a share of the data
    #[arg(long, value_name = "FILE")]
    pub(crate) validation: Option<PathBuf>,
    /// Share of the data set aside without a validation file
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, conflicts_with = "validation")]
    pub(crate) validation_share: f64,
    /// Examples for a last measurement that decides nothing
    #[arg(long, value_name = "FILE")]
    pub(crate) test: Option<PathBuf>,
    /// What is learned, and so the head, its loss and its metrics; by default what the data's format says
    #[arg(long, value_name = "KIND")]
    pub(crate) head: Option<TaskKind>,
    /// Describe pictures that this other backbone looks at (ViT, DINOv2), frozen too: rows have files in a column `image`
    /// and what they show in a column such as `caption`; for `--method llama-adapter-heads`
    #[arg(long, value_name = "DIR")]
    pub(crate) vision: Option<PathBuf>,
    /// Where text and label stand
    #[command(flatten)]
    pub(crate) columns: ColumnArgs,
}

/// Where text and label stand in a file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct ColumnArgs {
    /// Name or number (from 1) of the column with the text; guessed by default
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text_column: Option<ColumnRef>,
    /// Name or number (from 1) of the column with a second text that belongs to the first: a hypothesis to a
    /// premise, what an instruction is about; by default only columns with well-known names, such as `premise` and
    /// `hypothesis`
    #[arg(long, value_name = "COLUMN")]
    pub(crate) pair_column: Option<ColumnRef>,
    /// Name or number (from 1) of the column with the label, the labels (`a|b`), the number, the tag or the
    /// answer to be written; guessed by default
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label_column: Option<ColumnRef>,
    /// Name or number (from 1) of a column with a text of which one is to be chosen, or the field of their list;
    /// may be repeated; by default columns with well-known names, such as `choice1` and `choice2`
    #[arg(long = "choice-column", value_name = "COLUMN")]
    pub(crate) choice_columns: Vec<ColumnRef>,
    /// Whether the first row holds column names; guessed by default
    #[arg(long, value_name = "YES|NO", value_parser = parse_yes_no)]
    pub(crate) header: Option<bool>,
}

/// The adapter methods by the names people use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MethodName {
    /// Bottleneck after the feed-forward network of every block
    #[default]
    Pfeiffer,
    /// The same and an invertible adapter behind the embeddings (NICE): for languages, as in MAD-X
    PfeifferInv,
    /// Bottlenecks after attention and after the feed-forward network
    Houlsby,
    /// Bottleneck beside the feed-forward network
    Parallel,
    /// The same with a learned scaling
    ScaledParallel,
    /// Bottleneck with learned scaling of every channel
    AdapterPlus,
    /// Hypercomplex bottlenecks after both sub-layers
    Compacter,
    /// Hypercomplex bottleneck after the feed-forward network
    #[value(name = "compacter++")]
    CompacterPlusPlus,
    /// Low-rank updates of linear layers
    Lora,
    /// Low-rank updates with learned magnitudes
    Dora,
    /// Low-rank updates whose ranks are found while training
    #[value(name = "adalora")]
    AdaLora,
    /// Element-wise products of two low-rank updates
    Loha,
    /// Kronecker products of a small and a low-rank matrix
    Lokr,
    /// Learned diagonals around random matrices
    Vera,
    /// Rotations of the input of linear layers, in blocks
    Oft,
    /// The same in butterfly factors
    Boft,
    /// Biases added to the values
    Beft,
    /// Updates made of circulant blocks
    #[value(name = "c3a")]
    C3a,
    /// Low-rank updates of bounded norm
    Delora,
    /// Low-rank updates of the blocks of a weight
    Gralora,
    /// The weight times a low-rank matrix, element by element, as its update
    Hira,
    /// Chains of reflections in front of linear layers
    Hra,
    /// One small matrix added to every shard of a weight
    Miss,
    /// Learned combinations of shared random matrices
    #[value(name = "randlora")]
    RandLora,
    /// Rotated and scaled pairs of outputs
    Road,
    /// Some elements of the weights
    Shira,
    /// Updates put together from shared vectors
    #[value(name = "vblora")]
    VbLora,
    /// Weights and biases scaled and shifted
    Glora,
    /// What weights have along learned directions, exchanged
    Deft,
    /// Learned factors on keys, values and the feed-forward network
    Ia3,
    /// Learned keys and values, through a small network
    Prefix,
    /// Learned keys and values, directly
    PrefixFlat,
    /// Learned tokens in front of the input
    Prompt,
    /// Learned tokens among the words, trained through a small network
    PTuning,
    /// Learned tokens beside every attention, behind a gate per layer
    LlamaAdapter,
    /// The same behind a gate per head, as in the paper
    LlamaAdapterHeads,
    /// Low-rank interventions on hidden states, with orthonormal directions
    Loreft,
    /// The same with any directions
    Noreft,
    /// The same without subtracting the projection
    Direft,
    /// Mix-and-Match: prefix and parallel bottleneck
    Mam,
    /// Gated prefix, bottleneck and low-rank updates
    Unipelt,
    /// A weight and a bias per channel after self-attention, under a head trained before
    Hadamard,
    /// The biases of the backbone
    Bitfit,
    /// The norms of the backbone
    LayerNorm,
    /// The whole backbone: what adapters are compared with
    Full,
    /// Only the prediction head, on the frozen backbone
    LastLayer,
}

impl MethodName {
    /// The name on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pfeiffer => "pfeiffer",
            Self::PfeifferInv => "pfeiffer-inv",
            Self::Houlsby => "houlsby",
            Self::Parallel => "parallel",
            Self::ScaledParallel => "scaled-parallel",
            Self::AdapterPlus => "adapter-plus",
            Self::Compacter => "compacter",
            Self::CompacterPlusPlus => "compacter++",
            Self::Lora => "lora",
            Self::Dora => "dora",
            Self::AdaLora => "adalora",
            Self::Loha => "loha",
            Self::Lokr => "lokr",
            Self::Vera => "vera",
            Self::Oft => "oft",
            Self::Boft => "boft",
            Self::Beft => "beft",
            Self::C3a => "c3a",
            Self::Delora => "delora",
            Self::Gralora => "gralora",
            Self::Hira => "hira",
            Self::Hra => "hra",
            Self::Miss => "miss",
            Self::RandLora => "randlora",
            Self::Road => "road",
            Self::Shira => "shira",
            Self::VbLora => "vblora",
            Self::Glora => "glora",
            Self::Deft => "deft",
            Self::Ia3 => "ia3",
            Self::Prefix => "prefix",
            Self::PrefixFlat => "prefix-flat",
            Self::Prompt => "prompt",
            Self::PTuning => "p-tuning",
            Self::LlamaAdapter => "llama-adapter",
            Self::LlamaAdapterHeads => "llama-adapter-heads",
            Self::Loreft => "loreft",
            Self::Noreft => "noreft",
            Self::Direft => "direft",
            Self::Mam => "mam",
            Self::Unipelt => "unipelt",
            Self::Hadamard => "hadamard",
            Self::Bitfit => "bitfit",
            Self::LayerNorm => "layer-norm",
            Self::Full => "full",
            Self::LastLayer => "last-layer",
        }
    }
}

/// A layer, or several in a row: `4` or `4-5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerRange(pub(crate) RangeInclusive<usize>);

impl FromStr for LayerRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<usize>();
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (number(first), number(last)) {
            (Ok(first), Ok(last)) if first <= last => Ok(Self(first..=last)),
            _ => Err(format!("`{text}` is neither a layer, as in `4`, nor several in a row, as in `4-5`")),
        }
    }
}

/// What a head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PoolingName {
    /// The first token's last state
    First,
    /// The backbone's own pooler
    Pooler,
    /// The last token's last state: what decoders are read by
    Last,
    /// The mean over all tokens
    Mean,
    /// The greatest of each number among all tokens (embeddings)
    Max,
    /// The sum over all tokens, divided by the root of their number (embeddings)
    MeanSqrtLen,
    /// The mean over all tokens, each weighted with its position (embeddings)
    WeightedMean,
}

/// What is trained.
#[derive(Debug, Args)]
#[command(next_help_heading = "Method")]
pub(crate) struct MethodArgs {
    /// Adapter method
    #[arg(long, value_enum, default_value_t, value_name = "METHOD")]
    pub(crate) method: MethodName,
    /// The method with all its fields, from a manifest.json, its `method`, or a configuration of `adapters`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "fuse", "reduction_factor", "rank", "alpha", "targets", "layers", "prompt_length"])]
    pub(crate) method_file: Option<PathBuf>,
    /// Hidden size divided by bottleneck size (bottlenecks) [default: 16, or the method's own]
    #[arg(long, value_name = "FACTOR")]
    pub(crate) reduction_factor: Option<f64>,
    /// Rank of the update [default: 8; 1 for reft]
    #[arg(long, value_name = "R")]
    pub(crate) rank: Option<usize>,
    /// Numerator of the update's scaling [default: twice the rank for lora and dora, 8 for loha and lokr]
    #[arg(long, value_name = "ALPHA")]
    pub(crate) alpha: Option<f64>,
    /// Linear layers to update (lora and the other methods that change weights) [default: query,value]
    #[arg(long, value_name = "SITES", value_delimiter = ',')]
    pub(crate) targets: Vec<LinearSite>,
    /// Layers that get the adapter, from 0, as in `4,5` or `4-5` [default: all]; what the layers below the lowest give
    /// is computed only once for each example
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    pub(crate) layers: Vec<LayerRange>,
    /// Number of learned tokens (prompt) or keys (prefix) [default: 10 and 30]
    #[arg(long, value_name = "N")]
    pub(crate) prompt_length: Option<usize>,
    /// What the head reads [default: mean for last-layer, hadamard, embeddings and checkpoints without a pooler; else
    /// the pooler, or the last token in decoders]
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) pooling: Option<PoolingName>,
    /// Linear layers of the head [default: 1; where PEFT is to load it, those of the architecture's own head]
    #[arg(long, value_name = "N")]
    pub(crate) head_layers: Option<usize>,
}

/// The configurations of a fusion by the names people use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FusionName {
    /// Values are projected, and pulled towards what they are
    #[default]
    Dynamic,
    /// Only the attention is trained
    Static,
}

/// What is fused.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fusion (instead of a method)")]
pub(crate) struct FuseArgs {
    /// Train the attention over this bottleneck adapter and others, which stay as they are; repeat for each
    #[arg(long, value_name = "[NAME=]REF|DIR", conflicts_with_all = ["method", "reduction_factor", "rank", "alpha", "targets", "layers", "prompt_length"])]
    pub(crate) fuse: Vec<NamedFolder>,
    /// What the fusion computes
    #[arg(long, value_enum, default_value_t, value_name = "KIND", requires = "fuse")]
    pub(crate) fusion: FusionName,
}

/// What it is trained on top of.
#[derive(Debug, Args)]
#[command(next_help_heading = "Stack")]
pub(crate) struct StackArgs {
    /// Train on top of this adapter, which stays as it is, as a task's on a language's (MAD-X); may be repeated,
    /// the lowest first
    #[arg(long, value_name = "[NAME=]REF|DIR", conflicts_with = "fuse")]
    pub(crate) on: Vec<NamedFolder>,
}

/// How it is trained.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct SteeringArgs {
    /// In what the backbone is computed
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Passes over the data [default: 3; 20 for last-layer]
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    pub(crate) epochs: Option<u64>,
    /// Steps in all, instead of epochs
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// Examples per step
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) batch_size: usize,
    /// Parts in which the examples of a step are computed, one after the other: less memory for the same gradient, but
    /// for dropout
    #[arg(long, value_name = "PARTS", default_value_t = 1)]
    pub(crate) accumulate: usize,
    /// Keep only what goes from layer to layer, and compute the rest a second time for the backward: a fraction of the
    /// memory for a third more time, the same result
    #[arg(long)]
    pub(crate) gradient_checkpointing: bool,
    /// Highest learning rate; the default depends on the method
    #[arg(long, value_name = "RATE")]
    pub(crate) lr: Option<f64>,
    /// Share of the steps over which the learning rate rises
    #[arg(long, value_name = "SHARE", default_value_t = 0.06)]
    pub(crate) warmup: f64,
    /// Weight decay
    #[arg(long, value_name = "DECAY", default_value_t = 0.01)]
    pub(crate) weight_decay: f64,
    /// Longest text in tokens; the rest is cut off, but long passages are read in windows of this length
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    pub(crate) max_length: usize,
    /// Tokens by which windows of a long passage overlap (question answering)
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub(crate) doc_stride: usize,
    /// Seed of initial weights, data order, dropout and split
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// In every step leave the adapter out of a random number of the first layers (AdapterDrop), so that
    /// `--skip-layers` costs little later
    #[arg(long)]
    pub(crate) adapter_drop: bool,
    /// Gigabytes, in memory and on the disk of the output folder, for what the layers below the lowest adapter give;
    /// where it is not enough they run in every epoch
    #[arg(long, value_name = "GB", default_value_t = 4.0)]
    pub(crate) keep_states: f64,
    /// Stop after so many evaluations without improvement
    #[arg(long, value_name = "N")]
    pub(crate) patience: Option<u64>,
    /// Steps between evaluations; by default half an epoch
    #[arg(long, value_name = "STEPS")]
    pub(crate) evaluate_every: Option<u64>,
    /// Metric that decides which checkpoint is kept, as in `accuracy` or `macro-f1`; by default the first that is
    /// measured
    #[arg(long, value_name = "METRIC")]
    pub(crate) select: Option<Metric>,
}

/// What the manifest says.
#[derive(Debug, Args)]
#[command(next_help_heading = "Manifest")]
pub(crate) struct FactArgs {
    /// Full name; by default `local/` and the output folder's name
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub(crate) name: Option<AdapterId>,
    /// Version
    #[arg(long, value_name = "VERSION", default_value = "0.1.0", id = "adapter_version")]
    pub(crate) version: Version,
    /// What the adapter is for, as in `sentiment`; by default what it learns, as in `classification`
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<TaskId>,
    /// A narrower task, as in `movie-reviews`
    #[arg(long, value_name = "TASK")]
    pub(crate) subtask: Option<TaskId>,
    /// Licence of the weights, as an SPDX expression
    #[arg(long, value_name = "SPDX", default_value = "NOASSERTION")]
    pub(crate) license: License,
    /// Language of the data, as a BCP 47 tag; may be repeated. A model of speech learns to write it
    #[arg(long = "language", value_name = "TAG")]
    pub(crate) languages: Vec<Language>,
    /// One or two sentences for listings
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

fn parse_yes_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("`{other}` is neither `yes` nor `no`")),
    }
}
