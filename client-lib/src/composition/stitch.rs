//! Adapters at the hook points of a backbone.

use std::{collections::BTreeSet, sync::Arc};

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::{Module, SubLayer},
    method::{HookedAt, HookedResidual},
};

use super::{
    Composition, Fusion,
    drop::LayerDrop,
    linear::LinearHook,
    node::{Node, Semantics},
    prefix::{self, Padding, PrefixHook},
    sublayer::SubLayerHook,
};
use crate::{
    backbones::{
        AttentionInput, Context, EmbeddingInput, Hooks, KeysValues, LinearInput, ProjectionInput, Stand,
        SubLayerInput, Trace, repeat_rows,
    },
    methods::Adapter,
};

/// Why adapters can't be put together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StitchError {
    /// The expression names an adapter that was not given.
    #[error("the composition names `{name}`; these adapters are given: {given}")]
    Unknown {
        /// The name.
        name: String,
        /// The names that would do.
        given: String,
    },
    /// A `Fuse` without its trained attention.
    #[error("the composition fuses `{name}`; these fusions are given: {given}")]
    UnknownFusion {
        /// The fusion's name.
        name: String,
        /// The names that would do.
        given: String,
    },
    /// Adapters that can't share a batch.
    #[error(
        "`{name}` brings trained copies of `{tensor}`, which can't be mixed with other adapters by {block}"
    )]
    Replaced {
        /// The adapter.
        name: String,
        /// The tensor.
        tensor: String,
        /// The block.
        block: &'static str,
    },
}

/// A named adapter.
#[derive(Debug)]
pub struct Member {
    /// What expressions call it.
    pub name: String,
    /// The adapter.
    pub adapter: Box<dyn Adapter>,
}

/// A named fusion.
#[derive(Debug)]
pub struct NamedFusion {
    /// By default the members' names, with commas.
    pub name: String,
    /// The fusion.
    pub fusion: Fusion,
}

/// Adapters as a composition arranges them.
#[derive(Debug, Clone)]
pub struct Stitch {
    adapters: Arc<Named<Box<dyn Adapter>>>,
    fusions: Arc<Named<Fusion>>,
    root: Node,
    semantics: Semantics,
    skip_layers: Vec<usize>,
    drops: Option<LayerDrop>,
    quirks: Quirks,
    /// Whether groups of rows are those of tasks.
    by_task: bool,
    trace: Option<Trace>,
}

/// What an imported adapter's own library computes otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quirk {
    /// The queries of learned tokens see padding, as in `adapters` 1.3.0.
    FreePrompts,
    /// Segments are left out, as in PEFT's question answering.
    DropsSegments,
    /// A decoder sees prefixes as far as the masks of `adapters` 1.3.0 show them.
    MasksPrefixes,
    /// Layers of T5 whose prefixes differ from the first one's lose their distances, as in `adapters` 1.3.0.
    LosesDistances,
    /// Keys and values of adapters in parallel become more keys of fewer rows, as in ViT of `adapters` 1.3.0.
    FoldsRows,
}

/// Where an imported adapter keeps to what its own library computes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quirks(BTreeSet<Quirk>);

impl Quirks {
    /// Whether it does so in this.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.0.contains(&quirk)
    }

    /// The same and one more.
    #[must_use]
    pub fn with(mut self, quirk: Quirk) -> Self {
        self.0.insert(quirk);
        self
    }
}

impl FromIterator<Quirk> for Quirks {
    fn from_iter<I: IntoIterator<Item = Quirk>>(quirks: I) -> Self {
        Self(quirks.into_iter().collect())
    }
}

/// Things with the names that expressions call them.
#[derive(Debug)]
struct Named<T> {
    names: Vec<String>,
    things: Vec<T>,
}

impl<T> Named<T> {
    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }
}

impl Default for Stitch {
    fn default() -> Self {
        Self {
            adapters: Arc::new(Named { names: Vec::new(), things: Vec::new() }),
            fusions: Arc::new(Named { names: Vec::new(), things: Vec::new() }),
            root: Node::Nothing,
            semantics: Semantics::Plain,
            skip_layers: Vec::new(),
            drops: None,
            quirks: Quirks::default(),
            by_task: false,
            trace: None,
        }
    }
}

impl Stitch {
    /// One adapter.
    pub fn single(adapter: Box<dyn Adapter>) -> Self {
        let adapters = Named { names: vec![String::new()], things: vec![adapter] };
        Self { adapters: Arc::new(adapters), root: Node::Leaf(0), ..Self::default() }
    }

    /// The adapters and fusions that `composition` names.
    pub fn compose(
        composition: &Composition,
        members: Vec<Member>,
        fusions: Vec<NamedFusion>,
        semantics: Semantics,
    ) -> std::result::Result<Self, StitchError> {
        let (names, things) = members.into_iter().map(|m| (m.name, m.adapter)).unzip();
        let adapters = Arc::new(Named { names, things });
        let (names, things) = fusions.into_iter().map(|f| (f.name, f.fusion)).unzip();
        let fusions = Arc::new(Named { names, things });
        Self { adapters, fusions, semantics, ..Self::default() }.arranged(composition)
    }

    /// The same adapters and fusions in another arrangement.
    pub fn arranged(&self, composition: &Composition) -> std::result::Result<Self, StitchError> {
        let (adapters, fusions) = (&self.adapters, &self.fusions);
        let leaf = |name: &str| {
            let given = || adapters.names.join(", ");
            adapters
                .position(name)
                .ok_or_else(|| StitchError::Unknown { name: name.to_owned(), given: given() })
        };
        // A fusion may have a name of its own: alone it is the one that is meant.
        let is_lone = fusions.names.len() == 1 && composition.fusions().len() == 1;
        let fusion = |name: &str| {
            let given = || fusions.names.join("; ");
            let found = fusions.position(name).or(is_lone.then_some(0));
            found.ok_or_else(|| StitchError::UnknownFusion { name: name.to_owned(), given: given() })
        };
        Ok(Self { root: Node::resolve(composition, &leaf, &fusion)?, ..self.clone() })
    }

    /// The same where the groups of rows are those of tasks.
    #[must_use]
    pub(crate) fn by_task(self) -> Self {
        Self { by_task: true, ..self }
    }

    /// Leaves all adapters out of these layers (Rücklé et al., "AdapterDrop", 2021).
    #[must_use]
    pub fn skipping(self, skip_layers: Vec<usize>) -> Self {
        Self { skip_layers, ..self }
    }

    /// Leaves all adapters out of a random number of the first layers in every training step.
    #[must_use]
    pub fn dropping(self, drops: LayerDrop) -> Self {
        Self { drops: Some(drops), ..self }
    }

    /// What the members' libraries compute otherwise.
    pub const fn quirks(&self) -> &Quirks {
        &self.quirks
    }

    /// Whether all members are the library's, so that its arithmetic holds.
    pub const fn is_library(&self) -> bool {
        matches!(self.semantics, Semantics::Library)
    }

    /// Computes as the members' libraries do.
    #[must_use]
    pub fn with_quirks(self, quirks: Quirks) -> Self {
        Self { quirks, ..self }
    }

    /// The same, and where its forward passes note what they choose.
    pub fn traced(&self) -> (Self, Trace) {
        let trace = Trace::default();
        (Self { trace: Some(trace.clone()), ..self.clone() }, trace)
    }

    /// The name of a member by its index.
    pub fn name(&self, index: usize) -> &str {
        self.adapters.names.get(index).map_or("", String::as_str)
    }

    /// The member that stands first: its embeddings and its interventions apply.
    fn first(&self) -> Option<&dyn Adapter> {
        self.root.leaves().first().map(|&index| self.adapters()[index].as_ref())
    }

    fn adapters(&self) -> &[Box<dyn Adapter>] {
        &self.adapters.things
    }

    fn linear_hook(&self) -> LinearHook<'_> {
        LinearHook { adapters: self.adapters(), semantics: self.semantics }
    }

    fn sublayer_hook(&self) -> SubLayerHook<'_> {
        let (adapters, fusions, semantics) = (self.adapters(), &self.fusions.things, self.semantics);
        SubLayerHook { adapters, fusions, semantics, by_task: self.by_task }
    }

    /// How the members hang on the projection at this sub-layer's end: all of them in the same way.
    fn hooked_at(&self, layer: usize, sublayer: SubLayer) -> Result<Option<HookedAt>> {
        let own = |index: usize| self.adapters()[index].sublayer(layer, sublayer)?.hooked();
        let mut all = self.root.leaves().into_iter().filter_map(own);
        let Some(first) = all.next() else { return Ok(None) };
        match all.find(|other| *other != first) {
            None => Ok(Some(first)),
            Some(other) => candle_core::bail!(
                "adapters were made with different interfaces: in block {layer} one hangs on {first:?}, another on {other:?}"
            ),
        }
    }

    fn skips(&self, layer: usize, context: &Context) -> bool {
        self.skip_layers.contains(&layer) || self.drops.is_some_and(|drops| drops.skips(layer, context.mode))
    }

    /// The inverse of the first member's invertible adapter, for a language model's head.
    pub fn invert(&self, x: Tensor) -> Result<Tensor> {
        match self.first() {
            Some(adapter) => Ok(adapter.invert(&x)?.unwrap_or(x)),
            None => Ok(x),
        }
    }
}

impl Hooks for Stitch {
    fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.root.leaves().into_iter().rev().find_map(|index| self.adapters()[index].replaced(name))
    }

    fn loses_distances(&self) -> bool {
        self.quirks.has(Quirk::LosesDistances)
    }

    fn folds_rows(&self) -> bool {
        self.quirks.has(Quirk::FoldsRows)
    }

    fn embedding(&self, at: &EmbeddingInput<'_>, rows: Tensor) -> Result<Tensor> {
        let mut rows = rows;
        for index in self.root.leaves() {
            if let Some(changed) = self.adapters()[index].embedding(at, &rows)? {
                rows = changed;
            }
        }
        Ok(rows)
    }

    fn words(&self, words: Tensor, _context: &Context) -> Result<Tensor> {
        match self.first() {
            Some(adapter) => Ok(adapter.words(&words)?.unwrap_or(words)),
            None => Ok(words),
        }
    }

    fn embeddings(&self, x: Tensor, context: &Context) -> Result<Tensor> {
        match self.first() {
            Some(adapter) => Ok(adapter.embeddings(&x, context)?.unwrap_or(x)),
            None => Ok(x),
        }
    }

    fn drops_token_types(&self) -> bool {
        self.quirks.has(Quirk::DropsSegments) || self.first().is_some_and(Adapter::drops_token_types)
    }

    fn position_offset(&self) -> usize {
        self.first().map_or(0, Adapter::position_offset)
    }

    fn free_queries(&self, prompt_tokens: usize) -> usize {
        if self.quirks.has(Quirk::FreePrompts) { prompt_tokens } else { 0 }
    }

    fn ends_with_encoder(&self) -> bool {
        self.is_library()
    }

    fn changes(&self, module: Module) -> bool {
        self.linear_hook().touches(&self.root, module)
    }

    fn linear(&self, at: &LinearInput<'_>) -> Result<Tensor> {
        if at.module.layer().is_some_and(|layer| self.skips(layer, at.context)) {
            return at.linear.forward(at.x);
        }
        self.linear_hook().forward(&self.root, at)
    }

    fn keys_values(&self, at: &AttentionInput<'_>, keys_values: KeysValues) -> Result<KeysValues> {
        if self.skips(at.layer, at.context) {
            return Ok(keys_values);
        }
        let padding = match self.semantics {
            Semantics::Library if self.quirks.has(Quirk::MasksPrefixes) => {
                Padding::Library(at.library_padding)
            }
            Semantics::Library => Padding::Library(at.library_padding.that_shows_prefixes()),
            Semantics::Plain => Padding::Hidden,
        };
        prefix::compose(PrefixHook { adapters: self.adapters(), padding }, &self.root, at, keys_values)
    }

    fn projection(&self, at: &ProjectionInput<'_>, z: Tensor) -> Result<Tensor> {
        let Some(hooked) = self.hooked_at(at.layer, at.sublayer)? else { return Ok(z) };
        if self.skips(at.layer, at.context) {
            return Ok(z);
        }
        let residual = match hooked.residual {
            HookedResidual::Carried => at.carried.clone(),
            HookedResidual::Input => at.input.clone(),
            HookedResidual::Nothing => z.zeros_like()?,
        };
        let residual = repeat_rows(&residual, z.dim(0)?)?;
        let norm = hooked.norm.and_then(|norm| at.norm(norm, self));
        let at = SubLayerInput {
            layer: at.layer,
            sublayer: at.sublayer,
            stand: Stand::OnProjection,
            residual: &residual,
            norm: norm.as_ref(),
            context: at.context,
        };
        self.sublayer_hook().forward(&self.root, &at, &z)
    }

    fn sublayer(&self, at: &SubLayerInput<'_>, z: Tensor) -> Result<Tensor> {
        if self.skips(at.layer, at.context) {
            return at.join(&z);
        }
        self.sublayer_hook().forward(&self.root, at, &z)
    }

    fn block(&self, layer: usize, x: Tensor, context: &Context) -> Result<Tensor> {
        if self.skips(layer, context) {
            return Ok(x);
        }
        match self.first() {
            Some(adapter) => Ok(adapter.block(layer, &x, context)?.unwrap_or(x)),
            None => Ok(x),
        }
    }
}
