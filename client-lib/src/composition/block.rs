//! The composition blocks of the `adapters` library.

use std::fmt;

/// Which adapters work together, and how.
#[derive(Debug, Clone, PartialEq)]
pub enum Composition {
    /// One adapter.
    Single(String),
    /// No adapter: rows of a batch that the backbone computes alone.
    Nothing,
    /// One after the other.
    Stack(Vec<Self>),
    /// Mixed by a learned attention (Pfeiffer et al. 2021).
    Fuse {
        /// What is mixed.
        children: Vec<Self>,
        /// The fusion's name; by default the children's last names, with commas.
        name: Option<String>,
    },
    /// Each on a stretch of the sequence.
    Split {
        /// One for each stretch.
        children: Vec<Self>,
        /// Lengths of the stretches.
        splits: Vec<usize>,
    },
    /// Each on some rows of the batch.
    BatchSplit {
        /// One for each group of rows.
        children: Vec<Self>,
        /// Sizes of the groups.
        batch_sizes: Vec<usize>,
    },
    /// All on the same rows, which are repeated once for each.
    Parallel(Vec<Self>),
    /// The weighted mean of what they give.
    Average {
        /// What is averaged.
        children: Vec<Self>,
        /// Their weights.
        weights: Vec<f64>,
    },
    /// Each on the rows of its task.
    MultiTask(Vec<Self>),
}

impl Composition {
    /// The blocks inside this one.
    pub fn children(&self) -> &[Self] {
        match self {
            Self::Single(_) | Self::Nothing => &[],
            Self::Stack(children)
            | Self::Parallel(children)
            | Self::MultiTask(children)
            | Self::Fuse { children, .. }
            | Self::Split { children, .. }
            | Self::BatchSplit { children, .. }
            | Self::Average { children, .. } => children,
        }
    }

    /// The names of all members, in order.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Single(name) => vec![name],
            other => other.children().iter().flat_map(Self::names).collect(),
        }
    }

    /// The first member.
    pub fn first(&self) -> Option<&str> {
        self.names().into_iter().next()
    }

    /// The last member.
    pub fn last(&self) -> Option<&str> {
        self.names().into_iter().next_back()
    }

    /// The block that decides which head predicts: the last one of the outermost stack.
    pub fn outermost(&self) -> &Self {
        match self {
            Self::Stack(children) => children.last().unwrap_or(self),
            other => other,
        }
    }

    /// Whether some block divides the rows by task.
    pub fn has_tasks(&self) -> bool {
        matches!(self, Self::MultiTask(_)) || self.children().iter().any(Self::has_tasks)
    }

    /// The same for a batch whose rows are sorted by task, so many of each: every `MultiTask`
    /// becomes a `BatchSplit` among the members that have rows.
    #[must_use]
    pub fn for_tasks(&self, rows: &[usize]) -> Self {
        let each = |children: &[Self]| children.iter().map(|child| child.for_tasks(rows)).collect();
        match self.clone() {
            Self::MultiTask(children) => {
                let rows = rows.iter().copied().chain(std::iter::repeat(0));
                let (children, batch_sizes) =
                    children.into_iter().zip(rows).filter(|(_, rows)| *rows > 0).unzip();
                Self::BatchSplit { children, batch_sizes }
            }
            single @ (Self::Single(_) | Self::Nothing) => single,
            Self::Stack(children) => Self::Stack(each(&children)),
            Self::Parallel(children) => Self::Parallel(each(&children)),
            Self::Fuse { children, name } => Self::Fuse { children: each(&children), name },
            Self::Split { children, splits } => Self::Split { children: each(&children), splits },
            Self::BatchSplit { children, batch_sizes } => {
                Self::BatchSplit { children: each(&children), batch_sizes }
            }
            Self::Average { children, weights } => Self::Average { children: each(&children), weights },
        }
    }

    /// The members of the first block that divides the rows by task; empty without one.
    pub fn tasks(&self) -> &[Self] {
        match self {
            Self::MultiTask(children) => children,
            other => {
                other.children().iter().map(Self::tasks).find(|tasks| !tasks.is_empty()).unwrap_or_default()
            }
        }
    }

    /// Names of the fusions, in order: a `Fuse` without a name of its own is called
    /// by its children's last names.
    pub fn fusions(&self) -> Vec<String> {
        let own = match self {
            Self::Fuse { name: Some(name), .. } => Some(name.clone()),
            Self::Fuse { children, .. } => {
                Some(children.iter().filter_map(Self::last).collect::<Vec<_>>().join(","))
            }
            _ => None,
        };
        own.into_iter().chain(self.children().iter().flat_map(Self::fusions)).collect()
    }

    /// The block's name in expressions.
    pub const fn block(&self) -> &'static str {
        match self {
            Self::Single(_) => "a name",
            Self::Nothing => "None",
            Self::Stack(_) => "Stack",
            Self::Fuse { .. } => "Fuse",
            Self::Split { .. } => "Split",
            Self::BatchSplit { .. } => "BatchSplit",
            Self::Parallel(_) => "Parallel",
            Self::Average { .. } => "Average",
            Self::MultiTask(_) => "MultiTask",
        }
    }
}

impl fmt::Display for Composition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: Vec<String>| format!("[{}]", values.join(", "));
        let texts = |numbers: &[usize]| numbers.iter().map(ToString::to_string).collect();
        let option = match self {
            Self::Single(name) => return f.write_str(name),
            Self::Nothing => return f.write_str("None"),
            Self::Split { splits, .. } => Some(format!("splits={}", list(texts(splits)))),
            Self::BatchSplit { batch_sizes, .. } => Some(format!("batch_sizes={}", list(texts(batch_sizes)))),
            Self::Average { weights, .. } => {
                Some(format!("weights={}", list(weights.iter().map(ToString::to_string).collect())))
            }
            Self::Fuse { name: Some(name), .. } => Some(format!("name={name}")),
            _ => None,
        };
        let parts = self.children().iter().map(ToString::to_string).chain(option);
        write!(f, "{}({})", self.block(), parts.collect::<Vec<_>>().join(", "))
    }
}
