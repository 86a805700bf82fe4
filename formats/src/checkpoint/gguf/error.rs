//! Why a GGUF file can't be used.

/// Why a GGUF file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// Reading failed.
    #[error("reading failed: {0}")]
    Io(#[from] std::io::Error),
    /// The first bytes are others.
    #[error("its first bytes are not those of a GGUF file")]
    NotGguf,
    /// Another version of the container.
    #[error("it is of version {0}; versions 2 and 3 are read")]
    Version(u32),
    /// A length or count goes beyond the file or what is read of any file.
    #[error("{what} is {found}; at most {most} fits here")]
    TooLong {
        /// What it is the length of.
        what: &'static str,
        /// What the file says.
        found: u64,
        /// What there is room for.
        most: u64,
    },
    /// The container is not what the format prescribes.
    #[error("it is malformed: {0}")]
    Malformed(String),
    /// A key that must be there.
    #[error("it lacks the key `{0}`")]
    Missing(String),
    /// A key with a value that has no meaning here.
    #[error("the key `{key}` {reason}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong, as the end of a sentence about the key.
        reason: String,
    },
    /// Another architecture.
    #[error("it holds a model of the architecture `{found}`; this version reads {known}")]
    Architecture {
        /// What the file says.
        found: String,
        /// What is read.
        known: &'static str,
    },
    /// A tensor that the computation would leave out.
    #[error("the tensor `{0}` has no place in this architecture as this version computes it")]
    Tensor(String),
    /// A tensor in a type that is not read.
    #[error("the tensor `{tensor}` is stored as type {kind}; read are {known}")]
    Kind {
        /// The tensor.
        tensor: String,
        /// The number of the type.
        kind: u32,
        /// Names of the types that are read.
        known: &'static str,
    },
}
