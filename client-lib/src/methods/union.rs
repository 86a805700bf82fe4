//! Several methods in one adapter: at each hook point the parts that have something to do.

use candle_core::{Result, Tensor};
use hub_schemas::backbone::{Module, SubLayer};

use super::{Adapter, PrefixStates, SubLayerAdapter, Update};
use crate::backbones::{AttentionInput, Context, EmbeddingInput, GatedPrompt, LinearInput};

/// The parts of a union, in its order.
#[derive(Debug)]
pub(super) struct Union(pub(super) Vec<Box<dyn Adapter>>);

impl Union {
    fn first<T>(&self, ask: impl Fn(&dyn Adapter) -> Result<Option<T>>) -> Result<Option<T>> {
        for part in &self.0 {
            if let Some(answer) = ask(part.as_ref())? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Each part on what the one before has made.
    fn chain(
        &self,
        x: &Tensor,
        step: impl Fn(&dyn Adapter, &Tensor) -> Result<Option<Tensor>>,
    ) -> Result<Option<Tensor>> {
        let mut state: Option<Tensor> = None;
        for part in &self.0 {
            if let Some(next) = step(part.as_ref(), state.as_ref().unwrap_or(x))? {
                state = Some(next);
            }
        }
        Ok(state)
    }
}

impl Adapter for Union {
    fn replaced(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find_map(|part| part.replaced(name))
    }

    fn embedding(&self, at: &EmbeddingInput<'_>, rows: &Tensor) -> Result<Option<Tensor>> {
        self.chain(rows, |part, rows| part.embedding(at, rows))
    }

    fn words(&self, words: &Tensor) -> Result<Option<Tensor>> {
        self.chain(words, |part, words| part.words(words))
    }

    fn lengthens_embeddings(&self) -> bool {
        self.0.iter().any(|part| part.lengthens_embeddings())
    }

    /// Invertible parts first, whatever their order: learned tokens are not inverted (`post_embedding_forward` of
    /// `adapters` 1.3.0).
    fn embeddings(&self, x: &Tensor, context: &Context) -> Result<Option<Tensor>> {
        let those = |longer: bool| {
            move |part: &dyn Adapter, x: &Tensor| {
                if part.lengthens_embeddings() == longer { part.embeddings(x, context) } else { Ok(None) }
            }
        };
        let same = self.chain(x, those(false))?;
        Ok(self.chain(same.as_ref().unwrap_or(x), those(true))?.or(same))
    }

    fn invert(&self, x: &Tensor) -> Result<Option<Tensor>> {
        self.chain(x, |part, x| part.invert(x))
    }

    fn is_at(&self, module: Module) -> bool {
        self.0.iter().any(|part| part.is_at(module))
    }

    fn transforms(&self, module: Module) -> bool {
        self.0.iter().any(|part| part.transforms(module))
    }

    fn drops_token_types(&self) -> bool {
        self.0.iter().any(|part| part.drops_token_types())
    }

    fn position_offset(&self) -> usize {
        self.0.iter().map(|part| part.position_offset()).sum()
    }

    fn is_at_attention(&self, layer: usize) -> bool {
        self.0.iter().any(|part| part.is_at_attention(layer))
    }

    fn transform(&self, at: &LinearInput<'_>) -> Result<Option<Tensor>> {
        self.first(|part| part.transform(at))
    }

    fn update(&self, at: &LinearInput<'_>, input: &Tensor) -> Result<Option<Update>> {
        self.first(|part| part.update(at, input))
    }

    fn decomposes(&self, module: Module) -> bool {
        self.0.iter().any(|part| part.decomposes(module))
    }

    fn undecomposed(&self, at: &LinearInput<'_>, input: &Tensor) -> Result<Option<Tensor>> {
        self.first(|part| part.undecomposed(at, input))
    }

    fn rescaled(&self, at: &LinearInput<'_>, y: &Tensor) -> Result<Option<Tensor>> {
        self.first(|part| part.rescaled(at, y))
    }

    fn prefix(&self, at: &AttentionInput<'_>) -> Result<Option<PrefixStates>> {
        self.first(|part| part.prefix(at))
    }

    fn gated_prompt(&self, at: &AttentionInput<'_>) -> Result<Option<GatedPrompt>> {
        self.first(|part| part.gated_prompt(at))
    }

    fn sublayer(&self, layer: usize, sublayer: SubLayer) -> Option<&dyn SubLayerAdapter> {
        self.0.iter().find_map(|part| part.sublayer(layer, sublayer))
    }

    fn block(&self, layer: usize, x: &Tensor, context: &Context) -> Result<Option<Tensor>> {
        self.chain(x, |part, x| part.block(layer, x, context))
    }
}
