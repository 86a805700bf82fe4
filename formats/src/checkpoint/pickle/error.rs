//! Why a file of PyTorch's can't be read.

use std::io;

/// Why the bytes are not a state dict that `torch.save` wrote, or are more than that.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    /// Reading failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Neither container begins like this.
    #[error(
        "it begins neither as the zip archive nor as the pickle that `torch.save` writes; older formats are not read"
    )]
    NotPyTorch,
    /// Something ends before it should.
    #[error("it ends inside its {0}")]
    Truncated(&'static str),
    /// Something is larger than it ever is.
    #[error("it has {found} {what}; at most {max} are read")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there are, or were when counting stopped.
        found: u64,
        /// The most that are read.
        max: u64,
    },
    /// The zip archive is not as `torch.save` writes it.
    #[error("its zip archive can't be used: {0}")]
    Archive(String),
    /// The pickle names a Python object that is no part of a tensor.
    #[error("its pickle asks for `{0}`, which is no part of a tensor; nothing of it was run")]
    Global(String),
    /// The pickle has an instruction that no state dict needs.
    #[error(
        "its pickle has the instruction {name} at byte {at}, which no state dict needs; nothing of it was run"
    )]
    Opcode {
        /// The instruction's name in Python's `pickletools`.
        name: String,
        /// Where it stands in the pickle.
        at: usize,
    },
    /// The pickle's instructions do not fit together.
    #[error("its pickle is malformed at byte {at}: {reason}")]
    Malformed {
        /// Where the instruction ends.
        at: usize,
        /// What is wrong.
        reason: String,
    },
    /// The pickle is well-formed, but holds something else than named tensors.
    #[error("it is not a flat table of named tensors: {0}")]
    NotTensors(String),
    /// A tensor does not fit its storage.
    #[error("the tensor `{name}` {reason}")]
    Tensor {
        /// Its name, shortened.
        name: String,
        /// What is wrong, as the end of a sentence about the tensor.
        reason: String,
    },
    /// The bytes of the numbers are in the other order.
    #[error("it was written on a big-endian machine, which this version does not read")]
    BigEndian,
}

/// Longest piece of foreign text in a message, in characters.
const SHOWN: usize = 80;

/// Foreign text for a message: on one line and not too long.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
