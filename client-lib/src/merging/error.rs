//! Why adapters can't be merged, extracted or baked.

use std::{io, path::PathBuf};

use hub_formats::checkpoint::CheckpointError;
use hub_schemas::layout::Dtype;

use super::MergeKind;

/// Why adapters can't be merged, extracted or baked.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is nothing to merge.
    #[error("no adapter is given; merging takes at least one")]
    Empty,
    /// Blocks of a few bits can't hold a sum.
    #[error(
        "`{}` holds quantised weights, which can't take up an update; run the adapter beside them, or bake it into \
         the weights in full precision", .0.display()
    )]
    Quantised(PathBuf),
    /// Weights in a pickle are read, and not written again.
    #[error(
        "`{}` is a pickle, which no update is written into; save the model in Python with \
         `save_pretrained(…, safe_serialization=True)`", .0.display()
    )]
    Pickled(PathBuf),
    /// A matrix's elements do not fill its shape.
    #[error("a matrix of {rows} x {cols} has {found} elements")]
    Elements {
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
        /// Elements there are.
        found: usize,
    },
    /// Two matrices or tensors that must have the same or fitting shapes do not.
    #[error("{what}: {found:?} does not fit {expected:?}")]
    Shape {
        /// Which two, such as `adapter 2 at layers.0.query`.
        what: String,
        /// The shape that must be met.
        expected: Vec<usize>,
        /// The shape that is there.
        found: Vec<usize>,
    },
    /// `A` and `B` of one LoRA have different ranks.
    #[error("`A` has {a} rows and `B` has {b} columns; both must be the rank")]
    Factors {
        /// Rows of `A`.
        a: usize,
        /// Columns of `B`.
        b: usize,
    },
    /// A rule that works on the factors needs equal ranks.
    #[error("`{kind}` merges A with A and B with B, so all ranks must be equal; they are {ranks:?}")]
    Ranks {
        /// The rule.
        kind: MergeKind,
        /// The ranks, in the order given.
        ranks: Vec<usize>,
    },
    /// A rule of `adapters` needs equal scalings.
    #[error("`{kind}` averages adapters of one configuration, but their scalings are {scalings:?}")]
    Scalings {
        /// The rule.
        kind: MergeKind,
        /// The scalings, in the order given.
        scalings: Vec<f64>,
    },
    /// The share of elements to keep is not one.
    #[error("the density is {0}; it must lie in 0 < density <= 1")]
    Density(f64),
    /// The quantile to clamp at is not one.
    #[error("the clamping quantile is {0}; it must lie in 0 < q <= 1")]
    Quantile(f64),
    /// The quantile of the elements is not positive: nothing would be left.
    #[error("clamping at the quantile {quantile} would cut at {at}; it must be a positive number")]
    Clamp {
        /// The quantile.
        quantile: f64,
        /// Its value.
        at: f64,
    },
    /// The rule needs an option that is not given, or does not know one that is.
    #[error("`{kind}` {reason}")]
    Option {
        /// The rule.
        kind: MergeKind,
        /// What is wrong, as the end of a sentence about the rule.
        reason: &'static str,
    },
    /// The rank asked for is zero or larger than the matrix allows.
    #[error("the rank is {rank}; it must lie between 1 and {max}")]
    Rank {
        /// The rank.
        rank: usize,
        /// The largest that makes sense.
        max: usize,
    },
    /// A weight is infinite or not a number.
    #[error("the weight of adapter {index} is {weight}; it must be a finite number")]
    Weight {
        /// Which adapter, counted from one.
        index: usize,
        /// Its weight.
        weight: f64,
    },
    /// Weights that cancel can't be scaled to a sum of one.
    #[error("the weights {weights:?} add up to {sum}; they can't be normalised to a sum of one")]
    Normalise {
        /// The weights.
        weights: Vec<f64>,
        /// Their sum.
        sum: f64,
    },
    /// A number is infinite or not a number.
    #[error("{what}: element {index} is {value}")]
    NotFinite {
        /// Where.
        what: String,
        /// Its place in row-major order.
        index: usize,
        /// The number.
        value: f64,
    },
    /// One adapter has a tensor that another lacks.
    #[error("adapter {index} lacks `{name}`, which another adapter has")]
    Missing {
        /// Which adapter, counted from one.
        index: usize,
        /// The tensor or layer.
        name: String,
    },
    /// Elements that are no floating-point numbers.
    #[error("`{name}` holds {dtype:?}; only F64, F32, F16 and BF16 can be merged")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its element type.
        dtype: Dtype,
    },
    /// The decomposition did not converge.
    #[error("the singular value decomposition of a {rows} x {cols} matrix did not converge")]
    Svd {
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
    },
    /// Two checkpoints are not of one model.
    #[error("`{tuned}` can't be a fine-tuned `{base}`: {reason}")]
    NotTunedFrom {
        /// The base folder.
        base: PathBuf,
        /// The other folder.
        tuned: PathBuf,
        /// What differs.
        reason: String,
    },
    /// No linear layer is selected.
    #[error("no linear layer is selected")]
    NoLayer,
    /// An update of something that is no module of the backbone, or none that a LoRA can update.
    #[error("the backbone has no linear layer or embedding table `{0}`")]
    NoModule(String),
    /// An update for a tensor that the backbone does not have.
    #[error("`{folder}` has no tensor `{tensor}` to bake into")]
    NoTensor {
        /// The backbone's folder.
        folder: PathBuf,
        /// The tensor's canonical name.
        tensor: String,
    },
    /// The backbone holds baked adapters already.
    #[error("adapters are baked into `{0}` already")]
    AlreadyBaked(PathBuf),
    /// The backbone holds no baked adapter, or its record is gone.
    #[error("nothing was baked into `{0}`: it has no `bake/record.json`")]
    NotBaked(PathBuf),
    /// The folder to write into holds something.
    #[error("`{0}` is not empty")]
    NotEmpty(PathBuf),
    /// The record of a bake can't be used.
    #[error("`{path}` can't be used: {reason}")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a sentence about the file.
        reason: String,
    },
    /// Taking the adapters out did not give the bytes that were there before.
    #[error("`{path}` can't be restored: {reason}")]
    NotRestored {
        /// The weights file.
        path: PathBuf,
        /// Which of the files was changed.
        reason: String,
    },
    /// The adapter is of a method that the operation does not cover.
    #[error("`{folder}` is a `{method}` adapter; {reason}")]
    Method {
        /// The adapter's folder.
        folder: PathBuf,
        /// Its method.
        method: String,
        /// Why that is no use here.
        reason: &'static str,
    },
    /// Adapters that are merged tensor by tensor have different configurations.
    #[error("adapter {index} is `{found}`, but the first is `{expected}`; both must have one configuration")]
    Methods {
        /// Which adapter, counted from one.
        index: usize,
        /// The first adapter's method.
        expected: String,
        /// Its own.
        found: String,
    },
    /// Two adapters share a frozen tensor that is not the same in both.
    #[error("adapter {index} has another `{name}`, which was drawn once and is not a sum")]
    Frozen {
        /// Which adapter, counted from one.
        index: usize,
        /// The tensor.
        name: String,
    },
    /// The adapters bring heads that are no mean of each other.
    #[error("the adapters bring different heads: {first} and {other}")]
    Heads {
        /// The first head, with its labels.
        first: String,
        /// One that differs.
        other: String,
    },
    /// Weights that make no mean of the adapters' heads.
    #[error("the weights {0:?} make no mean of the adapters' heads")]
    HeadWeights(Vec<f64>),
    /// The adapter whose head was asked for has none.
    #[error("the head of adapter {number} is asked for, and of {of} adapters that one has no head")]
    NoHead {
        /// Which adapter, counted from one.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// Weights that mean something else, such as gates that average over padding too.
    #[error(
        "the weights of adapter {index} mean something else than those of the first: their manifests' `semantics` differ"
    )]
    Semantics {
        /// Which adapter, counted from one.
        index: usize,
    },
    /// Reading or writing failed.
    #[error("can't {action} `{path}`: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl MergeError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Option { reason, .. } if reason.starts_with("takes no rank") => {
                Some("rules that take one are `svd`, `lora_delta_w_svd` and those that end in `_svd`".into())
            }
            Self::Ranks { .. } => {
                Some("use `cat`, which is exact for any ranks, or a rule that ends in `_svd`".into())
            }
            Self::Normalise { .. } => {
                Some("without `--normalise` adapters can be added and subtracted".into())
            }
            Self::Heads { .. } | Self::HeadWeights(_) => {
                Some("name the one to keep, as in `--head 1`, or pass `--head none`".into())
            }
            Self::NoHead { .. } => Some("pass another number, or `--head none`".into()),
            Self::AlreadyBaked(_) => {
                Some("take them out with `hub unbake` first, or bake all adapters at once".into())
            }
            Self::NotRestored { .. } => {
                Some("the folder was changed after baking: use the original base model".into())
            }
            Self::Checkpoint(error) => error.hint(),
            _ => None,
        }
    }
}
