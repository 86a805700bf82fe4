//! The names of the rules, and what each of them can be told.

use std::{fmt, str::FromStr};

use super::MergeError;

/// A rule that makes one LoRA of several. The names are PEFT's and `adapters`'.
///
/// Written with `wᵢ` for an adapter's weight, `sᵢ` for its scaling and
/// `ΔWᵢ = sᵢ Bᵢ Aᵢ` for its update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MergeKind {
    /// Factor by factor, see [`factorwise`](super::factorwise): cheap, but with cross terms.
    Linear,
    /// Factors side by side, see [`cat`](super::cat): exact, of rank `Σ rᵢ`.
    Cat,
    /// The best update of the rank asked for of `Σ wᵢ ΔWᵢ`.
    Svd,
    /// [TIES](super::ties) on each factor.
    Ties,
    /// [TIES](super::ties) on the updates, then the best update of the rank asked for.
    TiesSvd,
    /// [DARE](super::dare) on each factor, then a weighted sum.
    DareLinear,
    /// [DARE](super::dare) on the updates, then the best update of the rank asked for.
    DareLinearSvd,
    /// [DARE](super::dare) on each factor, then TIES without its trimming.
    DareTies,
    /// [DARE](super::dare) on the updates, TIES without its trimming, then the best update of the rank.
    DareTiesSvd,
    /// The [largest elements](super::prune) of each factor, then a weighted sum.
    MagnitudePrune,
    /// The [largest elements](super::prune) of the updates, then the best update of the rank.
    MagnitudePruneSvd,
    /// `adapters`' `linear`: `A = Σ wᵢ Aᵢ`, `B = Σ wᵢ Bᵢ`, see [`averaged`](super::averaged).
    Average,
    /// `adapters`' `lora_linear_only_negate_b`: `A = Σ |wᵢ| Aᵢ`, `B = Σ wᵢ Bᵢ`.
    LinearOnlyNegateB,
    /// `adapters`' `lora_delta_w_svd`: the best update of the rank asked for of `Σ wᵢ Bᵢ Aᵢ`.
    DeltaWSvd,
}

/// How TIES finds the sign that an element gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MajoritySign {
    /// The sign of the sum.
    #[default]
    Total,
    /// The sign that most adapters have.
    Frequency,
}

impl MajoritySign {
    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Frequency => "frequency",
        }
    }
}

/// What a rule can be told. An option that the rule does not know is refused.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MergeOptions {
    /// The share of elements that TIES, DARE and pruning keep, in `0 < density <= 1`.
    pub density: Option<f64>,
    /// How TIES finds signs.
    pub majority_sign: MajoritySign,
    /// The new rank of the rules that decompose; by default the largest that goes in.
    pub rank: Option<usize>,
    /// The quantile at which the rules that decompose clamp both factors, see
    /// [`clamp`](super::clamp). Not at all by default.
    pub clamp: Option<f64>,
    /// Scale the weights of the rules of `adapters` to a sum of one.
    pub normalise: bool,
    /// Where DARE's random numbers start; the same seed drops the same elements.
    pub seed: u64,
}

impl MergeKind {
    /// Every rule.
    pub const ALL: [Self; 14] = [
        Self::Linear,
        Self::Cat,
        Self::Svd,
        Self::Ties,
        Self::TiesSvd,
        Self::DareLinear,
        Self::DareLinearSvd,
        Self::DareTies,
        Self::DareTiesSvd,
        Self::MagnitudePrune,
        Self::MagnitudePruneSvd,
        Self::Average,
        Self::LinearOnlyNegateB,
        Self::DeltaWSvd,
    ];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cat => "cat",
            Self::Svd => "svd",
            Self::Ties => "ties",
            Self::TiesSvd => "ties_svd",
            Self::DareLinear => "dare_linear",
            Self::DareLinearSvd => "dare_linear_svd",
            Self::DareTies => "dare_ties",
            Self::DareTiesSvd => "dare_ties_svd",
            Self::MagnitudePrune => "magnitude_prune",
            Self::MagnitudePruneSvd => "magnitude_prune_svd",
            Self::Average => "average",
            Self::LinearOnlyNegateB => "lora_linear_only_negate_b",
            Self::DeltaWSvd => "lora_delta_w_svd",
        }
    }

    /// Whether it keeps only a share of the elements.
    pub const fn takes_density(self) -> bool {
        matches!(
            self,
            Self::Ties
                | Self::TiesSvd
                | Self::DareLinear
                | Self::DareLinearSvd
                | Self::DareTies
                | Self::DareTiesSvd
                | Self::MagnitudePrune
                | Self::MagnitudePruneSvd
        )
    }

    /// Whether it decomposes an update, so that the new rank is free.
    pub const fn takes_rank(self) -> bool {
        matches!(
            self,
            Self::Svd
                | Self::TiesSvd
                | Self::DareLinearSvd
                | Self::DareTiesSvd
                | Self::MagnitudePruneSvd
                | Self::DeltaWSvd
        )
    }

    /// Whether it is a rule of `adapters`, which keeps the scaling and can normalise the weights.
    pub const fn is_average(self) -> bool {
        matches!(self, Self::Average | Self::LinearOnlyNegateB | Self::DeltaWSvd)
    }

    /// Whether two runs with different seeds differ.
    pub const fn is_random(self) -> bool {
        matches!(self, Self::DareLinear | Self::DareLinearSvd | Self::DareTies | Self::DareTiesSvd)
    }
}

impl MergeOptions {
    /// Refuses what `kind` does not know, lacks, or can't compute with.
    pub fn check(&self, kind: MergeKind) -> Result<(), MergeError> {
        let refuse = |reason| Err(MergeError::Option { kind, reason });
        match self.density {
            None if kind.takes_density() => return refuse("needs a density"),
            Some(_) if !kind.takes_density() => return refuse("takes no density"),
            Some(density) if !(density > 0.0 && density <= 1.0) => return Err(MergeError::Density(density)),
            _ => {}
        }
        match self.clamp {
            Some(_) if !kind.takes_rank() || kind.is_average() => return refuse("does not clamp"),
            Some(quantile) if !(quantile > 0.0 && quantile <= 1.0) => {
                return Err(MergeError::Quantile(quantile));
            }
            _ => {}
        }
        match self.rank {
            Some(_) if !kind.takes_rank() => {
                return refuse("takes no rank: it follows from the ranks that go in");
            }
            Some(rank) if !(1..=MAX_RANK).contains(&rank) => {
                return Err(MergeError::Rank { rank, max: MAX_RANK });
            }
            _ => {}
        }
        if self.normalise && !kind.is_average() {
            return refuse("does not normalise weights");
        }
        Ok(())
    }
}

/// No backbone is wider.
const MAX_RANK: usize = 1 << 16;

impl fmt::Display for MergeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rule of merging; these are: {rules}", rules = MergeKind::ALL.map(MergeKind::as_str).join(", "))]
pub struct UnknownKind(pub String);

impl FromStr for MergeKind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|k| k.as_str() == text).ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// Not a way to find signs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a way to elect signs; these are: total, frequency")]
pub struct UnknownSign(pub String);

impl FromStr for MajoritySign {
    type Err = UnknownSign;
    fn from_str(text: &str) -> Result<Self, UnknownSign> {
        match text {
            "total" => Ok(Self::Total),
            "frequency" => Ok(Self::Frequency),
            other => Err(UnknownSign(other.to_owned())),
        }
    }
}
