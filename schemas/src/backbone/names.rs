//! What the modules of an architecture are called in a Hugging Face checkpoint.

use super::{Module, SubLayer};

/// The names of an architecture: where its blocks are, and what stands in them.
#[derive(Clone, Copy)]
pub(super) struct Names {
    /// The module that holds the backbone inside a model with a head.
    pub(super) model_prefix: &'static str,
    /// What stands in front of a block's number.
    pub(super) blocks: &'static str,
    /// What stands behind a block's number, where that is not yet the block.
    pub(super) behind_number: &'static str,
    /// The module of a block that projects queries, keys and values.
    pub(super) attention: &'static str,
    /// The modules of a block after whose output the residual is added, or where the library hangs
    /// its adapters on the block itself, what it calls them there: of the attention, and of the
    /// feed-forward network.
    pub(super) sublayers: [&'static str; 2],
    /// The path of a module inside its block, or inside the backbone where it stands in none;
    /// `None` where the architecture has no such module.
    pub(super) part: fn(Module) -> Option<&'static str>,
}

/// The names of a decoder behind an encoder: those of its blocks, and what attends to the encoder.
#[derive(Clone, Copy)]
pub(super) struct DecoderNames {
    /// Like an encoder's.
    pub(super) own: Names,
    /// The module of a block that projects queries of, keys of and values of what the encoder gives.
    pub(super) cross_attention: &'static str,
    /// Where the library hangs its adapters behind that attention, as in [`Names::sublayers`].
    pub(super) cross_sublayer: &'static str,
}

/// Where the library hangs its adapters on the block itself.
pub(super) const ON_THE_BLOCK: [&str; 2] = ["attention_adapters", "output_adapters"];

impl Names {
    pub(super) fn block(&self, layer: usize) -> String {
        format!("{}{layer}{}", self.blocks, self.behind_number)
    }

    pub(super) fn module(&self, module: Module) -> Option<String> {
        let part = (self.part)(module)?;
        Some(match module.layer() {
            Some(layer) => format!("{}.{part}", self.block(layer)),
            None => part.to_owned(),
        })
    }

    /// `cross` is where the attention to an encoder has its adapters.
    pub(super) fn sublayer(&self, layer: usize, sublayer: SubLayer, cross: &str) -> String {
        let [attention, ffn] = self.sublayers;
        let at = match sublayer {
            SubLayer::Attention => attention,
            SubLayer::CrossAttention => cross,
            SubLayer::Ffn => ffn,
        };
        format!("{}.{at}", self.block(layer))
    }
}
