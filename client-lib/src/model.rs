//! A backbone with its adapters and head: what trains, evaluates and predicts.

mod checks;
mod error;
mod explain;
mod fuse;
mod generate;
mod groups;
mod imported;
mod members;
mod output;
mod pieces;
mod reading;
mod regulariser;
mod tasks;

use std::{collections::BTreeMap, sync::Arc};

use candle_core::Tensor;
use hub_formats::checkpoint::{AdapterFolder, FusionFolder};
use hub_kernels::awake;
use hub_schemas::{
    head::{EmbeddingHead, Head, Pooling},
    layout::{Format, Slot, native_format},
    method::{Method, MethodError},
};

pub use self::{
    error::ModelError,
    explain::{Attribution, Chooser},
    fuse::fused_sublayers,
    output::Output,
    pieces::Cut,
};
use self::{groups::Brought, regulariser::Regulariser};
pub use crate::backbones::{Batch, Mode, Passed};
use crate::{
    backbones::{Backbone, Hidden},
    composition::{Composition, LayerDrop, NamedFusion, Quirk, Stitch},
    heads::{self, Features, HeadInput, HeadLoadError, LoadedHead, Prediction},
    init::Initialiser,
    methods::{self, GateMean},
    params::Parameters,
};

/// Tokens of a pass, at most, in which waking threads is a part of the time that counts.
const FEW_TOKENS: usize = 512;

/// A backbone with adapters stitched in and a head on top.
#[derive(Debug)]
pub struct StitchedModel {
    backbone: Arc<Backbone>,
    stitch: Stitch,
    /// The arrangement, where it depends on the tasks of a batch.
    by_task: Option<Composition>,
    head: Option<LoadedHead>,
    /// Heads of groups of rows, each with the rows it has; all alike where none are stated.
    groups: Vec<(Option<usize>, Option<LoadedHead>)>,
    parameters: Parameters,
    /// What training pulls the parameters towards.
    regulariser: Option<Regulariser>,
    /// Whether a training step may leave some of the parameters out.
    drops_layers: bool,
    /// How many blocks, in the order in which they run, are below everything that training changes.
    frozen_blocks: usize,
}

impl StitchedModel {
    /// The backbone under a stitch, without a head, with nothing to train.
    fn under(backbone: Arc<Backbone>, stitch: Stitch) -> Self {
        Self {
            backbone,
            stitch,
            by_task: None,
            head: None,
            groups: Vec::new(),
            parameters: Parameters::default(),
            regulariser: None,
            drops_layers: false,
            frozen_blocks: 0,
        }
    }

    /// The plain backbone, with the head its checkpoint brings, if any.
    pub fn plain(backbone: Arc<Backbone>) -> Result<Self, ModelError> {
        let head = LoadedHead::of_base(&backbone)?;
        Ok(Self { head, ..Self::under(backbone, Stitch::default()) })
    }

    /// A fresh, trainable adapter and head.
    pub fn fresh(
        backbone: Arc<Backbone>,
        method: &Method,
        head: Option<&Head>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let parameters = fresh_parameters(&backbone, method, head, seed)?;
        Self::trainable(backbone, &[], method, head, parameters)
    }

    /// A fresh, trainable adapter and head on top of saved adapters, which stay as they are, the lowest first:
    /// that of a task on that of a language (Pfeiffer et al., "MAD-X", 2020).
    pub fn fresh_on(
        backbone: Arc<Backbone>,
        below: &[(String, &AdapterFolder)],
        method: &Method,
        head: Option<&Head>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let below = &members::on_base(&backbone, below)?;
        let below: Vec<_> = below.iter().map(|(name, folder)| (name.clone(), folder)).collect();
        let parameters = fresh_parameters(&backbone, method, head, seed)?;
        Self::trainable(backbone, &below, method, head, parameters)
    }

    /// The second stage of a training in two: a fresh, trainable adapter under a head that
    /// was trained before and stays as it is. `trained` holds its tensors by slot.
    pub fn under_head(
        backbone: Arc<Backbone>,
        method: &Method,
        head: &Head,
        trained: BTreeMap<String, Tensor>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        // Detached: no gradient of the head is computed.
        let trained = trained.into_iter().map(|(slot, tensor)| (slot, tensor.detach())).collect();
        let parameters = fresh_parameters(&backbone, method, None, seed)?.with_frozen(trained);
        Self::trainable(backbone, &[], method, Some(head), parameters)
    }

    /// The same under the head that the base checkpoint brings, which stays as it is.
    pub fn under_head_of_base(self) -> Result<Self, ModelError> {
        let head = LoadedHead::of_base(&self.backbone)?;
        Ok(Self { head, ..self })
    }

    /// The same with a head that makes vectors, which has no weights.
    pub fn under_embedding(self, head: &EmbeddingHead) -> Result<Self, ModelError> {
        let head = LoadedHead::fresh(&self.backbone, &Head::Embedding(head.clone()), &BTreeMap::new())?;
        Ok(Self { head: Some(head), ..self })
    }

    fn trainable(
        backbone: Arc<Backbone>,
        below: &[(String, &AdapterFolder)],
        method: &Method,
        head: Option<&Head>,
        parameters: Parameters,
    ) -> Result<Self, ModelError> {
        let shape = backbone.config().shape;
        let tensors = parameters.tensors();
        // What PEFT will load has to be trained as PEFT computes it.
        let is_peft = native_format(method, backbone.config().architecture, &shape) == Format::Peft;
        let drops_segments = is_peft && matches!(head, Some(Head::QuestionAnswering(_)));
        let adapter = methods::build(method, &shape, &tensors, GateMean::Tokens, below.len() as u64)?;
        let quirks = members::quirks(below, backbone.config().architecture);
        let stitch = members::stack(&backbone, below, adapter)?.with_quirks(if drops_segments {
            quirks.with(Quirk::DropsSegments)
        } else {
            quirks
        });
        let head = head.map(|head| LoadedHead::fresh(&backbone, head, &tensors)).transpose()?;
        if let Some(head) = &head {
            let architecture = backbone.config().architecture;
            let fits = |(_, folder): &(String, &AdapterFolder)| {
                checks::heads(&[head], &folder.method, (architecture, &shape))
            };
            below.iter().try_for_each(fits)?;
        }
        let regulariser = Regulariser::of(method);
        // Adapters below may drop out, or put tokens in front: with them blocks give something else in every step.
        // What the sum of all layers reads of passed blocks is not kept.
        let is_kept = below.is_empty() && !backbone.weighs_layers();
        let frozen_blocks = if is_kept { frozen_blocks(&backbone, method) } else { 0 };
        Ok(Self { head, parameters, regulariser, frozen_blocks, ..Self::under(backbone, stitch) })
    }

    /// One saved adapter, for inference.
    pub fn load(backbone: Arc<Backbone>, folder: &AdapterFolder) -> Result<Self, ModelError> {
        let name = folder.name.clone();
        let composition = Composition::Single(name.clone());
        Self::compose(backbone, std::slice::from_ref(&(name, folder)), &[], &composition)
    }

    /// Several saved adapters, for inference. The head is that of the composition's
    /// last member, or the base checkpoint's.
    pub fn compose(
        backbone: Arc<Backbone>,
        named: &[(String, &AdapterFolder)],
        fusions: &[FusionFolder],
        composition: &Composition,
    ) -> Result<Self, ModelError> {
        let named = &members::on_base(&backbone, named)?;
        let named: &[(String, &AdapterFolder)] =
            &named.iter().map(|(n, f)| (n.clone(), f)).collect::<Vec<_>>();
        let backbone = members::replicated(backbone, named)?;
        let (members, heads) = members::load(&backbone, named, composition)?;
        let fusions = members::load_fusions(&backbone, named, fusions)?;
        let (semantics, quirks) =
            (members::semantics(named), members::quirks(named, backbone.config().architecture));
        let stitch = Stitch::compose(composition, members, fusions, semantics)?.with_quirks(quirks);
        let is_of_base = heads.is_none();
        let mut model = Self::arranged(backbone, stitch, composition, heads)?;
        let inverts = |folder: &AdapterFolder| folder.is_plugged() || is_of_base && folder.is_flexible();
        if named.iter().any(|(_, folder)| inverts(folder)) {
            model.head = model.head.map(LoadedHead::inverting);
        }
        let heads: Vec<&LoadedHead> =
            model.head.iter().chain(model.groups.iter().filter_map(|(_, head)| head.as_ref())).collect();
        let shape = model.backbone.config().shape;
        let architecture = model.backbone.config().architecture;
        for (name, folder) in named {
            checks::heads(&heads, &folder.method, (architecture, &shape))?;
            checks::groups(&model.groups, name, &folder.method, &shape)?;
        }
        Ok(model)
    }

    fn arranged(
        backbone: Arc<Backbone>,
        stitch: Stitch,
        composition: &Composition,
        heads: Brought,
    ) -> Result<Self, HeadLoadError> {
        let (mut head, groups) = groups::choose(composition, heads);
        if head.is_none() && groups.is_empty() {
            head = LoadedHead::of_base(&backbone)?;
        }
        let by_task = composition.has_tasks().then(|| composition.clone());
        Ok(Self { by_task, head, groups, ..Self::under(backbone, stitch) })
    }

    /// Leaves all adapters out of these layers (Rücklé et al., "`AdapterDrop`", 2021).
    pub fn skipping(mut self, layers: Vec<usize>) -> Result<Self, ModelError> {
        let shape = self.backbone.config().shape;
        if let Some(&layer) = layers.iter().find(|&&layer| layer >= shape.num_layers) {
            return Err(MethodError::Layer { field: "skip layers", layer, last: shape.num_layers - 1 }.into());
        }
        self.stitch = self.stitch.skipping(layers);
        Ok(self)
    }

    /// Leaves the adapters out of a random number of the first layers in every training step.
    #[must_use]
    pub fn dropping_layers(mut self) -> Self {
        self.stitch = self.stitch.dropping(LayerDrop::new(self.backbone.config().shape.num_layers));
        self.drops_layers = true;
        self
    }

    /// What training adds to the loss, a scalar; `None` where there is nothing to pull.
    pub fn regularisation(&self) -> candle_core::Result<Option<Tensor>> {
        self.regulariser.map_or(Ok(None), |regulariser| regulariser.term(&self.parameters))
    }

    /// Whether a training step may leave some of the parameters out.
    pub fn drops_layers(&self) -> bool {
        self.drops_layers
    }

    /// How many blocks, in the order in which they run, are below everything that training changes: what they give
    /// for an input stays the same.
    pub fn frozen_blocks(&self) -> usize {
        self.frozen_blocks
    }

    /// What the first `blocks` give, `[b, t, h]`: what [`Batch::passed`] goes on from.
    pub fn pass(&self, batch: &Batch, blocks: usize) -> candle_core::Result<Tensor> {
        self.backbone.pass(batch, &self.stitch, blocks)
    }

    /// Runs backbone, adapters and head.
    pub fn forward(&self, batch: &Batch, mode: Mode) -> candle_core::Result<Output> {
        let pass = || match &self.by_task {
            None => self.run(&self.stitch, batch, mode),
            Some(composition) => self.forward_by_task(composition, batch, mode),
        };
        self.short_pass(batch.input_ids.elem_count(), pass)
    }

    /// A pass over so many tokens: of a few the operations are so short that threads had better wait for them awake.
    fn short_pass<T>(&self, tokens: usize, pass: impl FnOnce() -> T) -> T {
        if tokens <= FEW_TOKENS && self.backbone.device().is_cpu() { awake(pass) } else { pass() }
    }

    fn run(&self, stitch: &Stitch, batch: &Batch, mode: Mode) -> candle_core::Result<Output> {
        let hidden = self.backbone.forward(self.reading(batch)?.as_ref(), stitch, mode)?;
        self.predict(stitch, batch, hidden, mode)
    }

    /// What the heads make of what the blocks gave.
    fn predict(
        &self,
        stitch: &Stitch,
        batch: &Batch,
        hidden: Hidden,
        mode: Mode,
    ) -> candle_core::Result<Output> {
        let Hidden { state, attention_mask, encoder_state, layer_sum } = hidden;
        let features = Features {
            backbone: &self.backbone,
            hooks: stitch,
            state: &state,
            layer_sum: layer_sum.as_ref(),
            attention_mask: &attention_mask,
            read: batch.input_ids.dim(0)?,
            ids: Some(&batch.input_ids),
        };
        let invert = |x| stitch.invert(x);
        let input = HeadInput { features, batch, mode, invert: &invert };
        let prediction = self.head.as_ref().map(|head| self.predict_rows(head, &input)).transpose()?;
        let by_group = self.predict_groups(&input)?;
        Ok(Output {
            last_hidden_state: state,
            encoder_last_hidden_state: encoder_state,
            prediction,
            by_group,
        })
    }

    /// What the head makes of all rows. Classifiers of a decoder's own class take one position of each row that was read,
    /// and so leave out what adapters in parallel have added below.
    fn predict_rows(&self, head: &LoadedHead, input: &HeadInput<'_>) -> candle_core::Result<Prediction> {
        let Features { state, attention_mask, read, .. } = input.features;
        let rows = state.dim(0)?;
        let is_of_class = self.stitch.is_library() && head.config().pooling() == Some(Pooling::Last);
        if !is_of_class || rows == read {
            return head.forward(input);
        }
        let first = |x: &Tensor| x.narrow(0, 0, read.min(rows))?.contiguous();
        let (state, attention_mask) = (first(state)?, first(attention_mask)?);
        let features = Features { state: &state, attention_mask: &attention_mask, ..input.features };
        head.forward(&HeadInput { features, ..*input })
    }

    /// What the head reads, `[b, h]`: worth keeping when nothing below the head is trained.
    /// `None` without a head on whole sequences.
    pub fn pooled(&self, batch: &Batch) -> candle_core::Result<Option<Tensor>> {
        let Some(head) = &self.head else { return Ok(None) };
        let Hidden { state, attention_mask, layer_sum, .. } =
            self.backbone.forward(self.reading(batch)?.as_ref(), &self.stitch, Mode::Eval)?;
        let ids = Some(&batch.input_ids);
        let read = batch.input_ids.dim(0)?;
        head.layers().pool(&self.features(&state, layer_sum.as_ref(), &attention_mask, (ids, read)))
    }

    /// Scores `[b, labels]` from what [`pooled`](Self::pooled) returned.
    pub fn logits(&self, pooled: &Tensor, mode: Mode) -> candle_core::Result<Option<Tensor>> {
        match &self.head {
            Some(head) => head.layers().scores(pooled, mode),
            None => Ok(None),
        }
    }

    fn features<'a>(
        &'a self,
        state: &'a Tensor,
        layer_sum: Option<&'a Tensor>,
        attention_mask: &'a Tensor,
        (ids, read): (Option<&'a Tensor>, usize),
    ) -> Features<'a> {
        Features {
            backbone: &self.backbone,
            hooks: &self.stitch,
            state,
            layer_sum,
            attention_mask,
            ids,
            read,
        }
    }

    /// What training changes. Empty for a loaded model.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What the head computes, when there is one.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref().map(LoadedHead::config)
    }

    /// How many rows may stand in one batch, of `most`: one alone where what a row gives depends on the others.
    pub fn rows_at_once(&self, most: usize) -> usize {
        let is_alone = self.head().and_then(Head::pooling) == Some(Pooling::LastPosition)
            || self.backbone.config().positions.depend_on_company();
        if is_alone { 1 } else { most }
    }

    /// Names of the head's outputs.
    pub fn labels(&self) -> &[String] {
        self.head.as_ref().map_or(&[], LoadedHead::labels)
    }

    /// The frozen backbone.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }
}

/// The fresh tensors of a method and a head, each a pure function of `seed` and its name;
/// trained copies start as what they copy.
fn fresh_parameters(
    backbone: &Backbone,
    method: &Method,
    head: Option<&Head>,
    seed: u64,
) -> Result<Parameters, ModelError> {
    let shape = backbone.config().shape;
    method.validate(&shape)?;
    checks::modules(backbone, method)?;
    let mut drawn: Vec<(Slot, Initialiser)> = Vec::new();
    for part in method.parts() {
        drawn.extend(part.slots(&shape).into_iter().map(|slot| {
            let initialiser = methods::initialiser(part, &slot);
            (slot, initialiser)
        }));
    }
    for slot in head.iter().flat_map(|h| heads::trained_slots(h, backbone)) {
        let initialiser = heads::initialiser(&slot);
        drawn.push((slot, initialiser));
    }
    let start = |slot: &Slot| methods::start(method, slot, backbone, seed);
    Ok(Parameters::fresh(&drawn, start, seed, backbone.dtype(), backbone.device())?)
}

/// Blocks of the only stack, or of the encoder, that run before the first one in which `method` changes something. None
/// where it also changes what stands in front of the blocks or is shared by them.
fn frozen_blocks(backbone: &Backbone, method: &Method) -> usize {
    let slots = method.parts().iter().flat_map(|part| part.slots(&backbone.config().shape));
    let lowest = slots.map(|slot| slot.place.layer().unwrap_or(0)).min().unwrap_or(usize::MAX);
    backbone.applied_blocks().into_iter().take_while(|&block| block < lowest).count()
}
