//! On which points an imported adapter keeps to what its own library computes.

use hub_schemas::{
    layout::Format,
    manifest::{CompositionRules, GatingMean, Semantics},
    method::{Method, Tie, without_words},
};

use super::AdapterFolder;

impl AdapterFolder {
    /// What the manifest states; without one, what the library that wrote the folder does.
    pub fn semantics(&self) -> Semantics {
        match &self.manifest {
            Some(manifest) => manifest.semantics.clone(),
            None => self.library_semantics(),
        }
    }

    /// What applies to an adapter that was trained here.
    pub(super) fn own_semantics(&self) -> Semantics {
        Semantics {
            gating_mean: is_gated(&self.method).then_some(GatingMean::Tokens),
            // Trained so, that PEFT computes the same.
            drops_segments: self.drops_segments,
            ..Semantics::default()
        }
    }

    fn library_semantics(&self) -> Semantics {
        let is_adapters = self.format == Format::Adapters;
        let has_prefix = self.method.parts().iter().any(|part| matches!(part, Method::Prefix(_)));
        let has_prompt = self.method.parts().iter().any(|part| matches!(part, Method::Prompt(_)));
        // Since then masks have a row for every query, and hide by comparison in decoders.
        let is_new = self.library >= Some((1, 3));
        Semantics {
            gating_mean: is_gated(&self.method).then_some(GatingMean::AllPositions),
            composition: is_adapters.then_some(CompositionRules::Adapters),
            prompts_see_padding: is_adapters && has_prompt && is_new,
            drops_segments: self.drops_segments,
            masks_prefixes: is_adapters && has_prefix && is_new && self.architecture.masks_prefixes(),
            keeps_shared_table: self.format == Format::Peft
                && self.architecture.shares_words()
                && changes_words(&self.method),
            ..Semantics::default()
        }
    }
}

/// Whether it adapts the table of words, or has a trained copy of it.
fn changes_words(method: &Method) -> bool {
    method.parts().iter().any(|part| without_words(part, Tie::Apart).is_none_or(|rest| rest != *part))
}

fn is_gated(method: &Method) -> bool {
    method.parts().iter().any(|part| match part {
        Method::Bottleneck(config) => config.use_gating,
        Method::Lora(config) => config.use_gating,
        Method::Ia3(config) => config.use_gating,
        Method::Vera(config) => config.use_gating,
        Method::Prefix(config) => config.use_gating,
        _ => false,
    })
}
