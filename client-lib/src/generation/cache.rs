//! The keys and values of the tokens that a decoder has read: what comes later attends to them
//! without computing them again (Shazeer, "Fast Transformer Decoding", 2019, section 2.4). Behind an
//! encoder, what that gave of the input too.
//!
//! The backbone knows nothing of it: the cache stands between backbone and adapters as hooks of
//! their own, so that every method that looks at one token at a time works with it as it is.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    sync::Arc,
};

use candle_core::{Result, Tensor};
use hub_schemas::backbone::{Module, SubLayer};

use crate::backbones::{
    AttentionInput, Context, EmbeddingInput, Encoded, Hooks, KeysValues, LinearInput, ProjectionInput,
    SubLayerInput,
};

/// Keys and values by layer, each `[b, s, g·d]`, positions turned in.
#[derive(Debug, Default)]
pub struct Cache {
    layers: RefCell<BTreeMap<usize, (Tensor, Tensor)>>,
    encoded: Option<Encoded>,
    image: Option<Tensor>,
    opening: OnceCell<Arc<[u32]>>,
}

impl Cache {
    /// Nothing read yet, behind what an encoder gave.
    pub fn behind(encoded: Encoded) -> Self {
        Self { encoded: Some(encoded), ..Self::default() }
    }

    /// Nothing read yet about an image of which this was seen, `[1, f]`.
    pub fn about(image: Option<Tensor>) -> Self {
        Self { image, ..Self::default() }
    }

    /// What was seen, where an image is written about.
    pub fn image(&self) -> Option<&Tensor> {
        self.image.as_ref()
    }

    /// What an encoder gave, where one stands in front.
    pub fn encoded(&self) -> Option<&Encoded> {
        self.encoded.as_ref()
    }

    /// What was read first, where this is not it: what a text goes on from, the same for every row. `ids` are read now.
    pub(crate) fn opening(&self, ids: &[u32]) -> Option<Arc<[u32]>> {
        let is_first = self.opening.get().is_none();
        let opening = self.opening.get_or_init(|| ids.into());
        (!is_first).then(|| Arc::clone(opening))
    }

    /// Goes on with these rows of what was read, each as often as it is named.
    pub fn select(&self, rows: &[u32]) -> Result<()> {
        for (keys, values) in self.layers.borrow_mut().values_mut() {
            let order = Tensor::new(rows, keys.device())?;
            *keys = keys.index_select(&order, 0)?;
            *values = values.index_select(&order, 0)?;
        }
        Ok(())
    }

    /// How many tokens were read, learned ones in front included.
    pub fn tokens(&self) -> usize {
        let layers = self.layers.borrow();
        layers.values().next().map_or(0, |(keys, _)| keys.dims().get(1).copied().unwrap_or(0))
    }
}

/// The hooks of an adapter, behind what a cache holds.
pub(crate) struct Cached<'a> {
    inner: &'a dyn Hooks,
    cache: &'a Cache,
    past: usize,
    opening: Option<Arc<[u32]>>,
}

impl<'a> Cached<'a> {
    /// For a step that reads `ids` in its first row.
    pub(crate) fn new(inner: &'a dyn Hooks, cache: &'a Cache, ids: &[u32]) -> Self {
        Self { inner, cache, past: cache.tokens(), opening: cache.opening(ids) }
    }

    /// Learned tokens stand in front of the first tokens only.
    fn without_learned(&self, x: Tensor, tokens: usize) -> Result<Tensor> {
        let added = x.dim(1)?.saturating_sub(tokens);
        if self.past == 0 || added == 0 { Ok(x) } else { x.narrow(1, added, tokens)?.contiguous() }
    }
}

impl Hooks for Cached<'_> {
    fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.inner.tensor(name)
    }

    fn loses_distances(&self) -> bool {
        self.inner.loses_distances()
    }

    fn embedding(&self, at: &EmbeddingInput<'_>, rows: Tensor) -> Result<Tensor> {
        self.inner.embedding(at, rows)
    }

    fn words(&self, words: Tensor, context: &Context) -> Result<Tensor> {
        let tokens = words.dim(1)?;
        self.without_learned(self.inner.words(words, context)?, tokens)
    }

    fn embeddings(&self, x: Tensor, context: &Context) -> Result<Tensor> {
        let tokens = x.dim(1)?;
        self.without_learned(self.inner.embeddings(x, context)?, tokens)
    }

    fn opening(&self) -> Option<Arc<[u32]>> {
        self.opening.clone()
    }

    fn free_queries(&self, prompt_tokens: usize) -> usize {
        self.inner.free_queries(prompt_tokens)
    }

    fn drops_token_types(&self) -> bool {
        self.inner.drops_token_types()
    }

    fn position_offset(&self) -> usize {
        self.inner.position_offset() + self.past
    }

    fn ends_with_encoder(&self) -> bool {
        self.inner.ends_with_encoder()
    }

    fn changes(&self, module: Module) -> bool {
        self.inner.changes(module)
    }

    fn linear(&self, at: &LinearInput<'_>) -> Result<Tensor> {
        self.inner.linear(at)
    }

    fn keys_values(&self, at: &AttentionInput<'_>, own: KeysValues) -> Result<KeysValues> {
        if at.sublayer == SubLayer::CrossAttention {
            return self.inner.keys_values(at, own);
        }
        let mut layers = self.cache.layers.borrow_mut();
        let (keys, values) = match layers.get(&at.layer) {
            Some((keys, values)) => {
                (Tensor::cat(&[keys, &own.keys], 1)?, Tensor::cat(&[values, &own.values], 1)?)
            }
            None => (own.keys, own.values),
        };
        layers.insert(at.layer, (keys.clone(), values.clone()));
        let mask = own.mask.behind(self.past);
        // A token that is written alone sees all of a prefix; so it does here when it is read again with others.
        let at = AttentionInput { library_padding: at.library_padding.that_shows_prefixes(), ..*at };
        self.inner.keys_values(&at, KeysValues { keys, values, mask, prompts: own.prompts })
    }

    fn projection(&self, at: &ProjectionInput<'_>, z: Tensor) -> Result<Tensor> {
        self.inner.projection(at, z)
    }

    fn sublayer(&self, at: &SubLayerInput<'_>, z: Tensor) -> Result<Tensor> {
        self.inner.sublayer(at, z)
    }

    fn block(&self, layer: usize, x: Tensor, context: &Context) -> Result<Tensor> {
        self.inner.block(layer, x, context)
    }
}
