//! What the paths of modules depend on besides the architecture.

/// Which of the backbones of an architecture it is, as far as module paths tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Variant {
    /// The first block of a decoder behind an encoder: blocks are counted through both, and paths
    /// count those of each from zero. `None` where there is one stack of blocks.
    pub decoder_from: Option<usize>,
    /// Whether the feed-forward network has a gate, in an architecture that has it with and without.
    pub has_ffn_gate: bool,
}

impl Variant {
    /// Whether a block is the decoder's.
    pub fn is_decoder(self, layer: usize) -> bool {
        self.decoder_from.is_some_and(|first| layer >= first)
    }
}
