//! A backbone with its adapters and head: what trains, evaluates and predicts.

mod explain;
mod fuse;
mod regulariser;
mod tasks;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use candle_core::Tensor;
use hub_schemas::{
    backbone::{Architecture, BackboneShape, LinearSite, Module, SubLayer},
    head::Head,
    layout::{Format, Place, Slot},
    manifest::{CompositionRules, GatingMean},
    method::{Method, MethodError},
};

use self::regulariser::Regulariser;
pub use self::{
    explain::{Attribution, Chooser},
    fuse::fused_sublayers,
};
pub use crate::backbones::{Batch, Mode};
use crate::{
    backbones::{Backbone, Hidden, tensor},
    checkpoint::{AdapterFolder, CheckpointError, FusionFolder, SlotData},
    composition::{
        Composition, ExpressionError, Fusion, LayerDrop, Member, NamedFusion, Quirks, Semantics, Stitch,
        StitchError,
    },
    heads::{self, Features, HeadInput, HeadLoadError, LoadedHead, Prediction},
    init::Initialiser,
    methods::{self, GateMean},
    params::Parameters,
};

/// Why a model can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A folder can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The method does not fit the backbone.
    #[error("the adapter does not fit the base model: {0}")]
    Method(#[from] MethodError),
    /// The adapters can't be composed.
    #[error(transparent)]
    Stitch(#[from] StitchError),
    /// The saved expression can't be read.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// The adapter is for another architecture.
    #[error("the adapter in `{folder}` is for {adapter}, the base model is {base}")]
    Architecture {
        /// The adapter's folder.
        folder: PathBuf,
        /// Its architecture.
        adapter: Architecture,
        /// The backbone's.
        base: Architecture,
    },
    /// The adapter changes a module that the backbone does not have.
    #[error(
        "the adapter changes `{module}`, which {base} models do not have; linear layers of theirs are: {sites}"
    )]
    Module {
        /// The module.
        module: Module,
        /// The backbone's architecture.
        base: Architecture,
        /// Names of the linear layers it has.
        sites: String,
    },
    /// A composition where an adapter is needed.
    #[error("`{}` holds a composition, which can't be a member of another one", .0.display())]
    Nested(PathBuf),
    /// A member that has nothing to fuse.
    #[error("`{name}` has no bottleneck layers ({method}): a fusion attends to what bottlenecks give")]
    NotFusible {
        /// The adapter's name.
        name: String,
        /// What it is.
        method: String,
    },
    /// The head does not fit the backbone.
    #[error(transparent)]
    Head(#[from] HeadLoadError),
    /// The tensors can't be used.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// What a forward pass gives.
#[derive(Debug, Clone)]
pub struct Output {
    /// `[b, t, h]`
    pub last_hidden_state: Tensor,
    /// What the head gives, when there is one.
    pub prediction: Option<Prediction>,
    /// What each head gives, where groups of rows have heads of their own.
    pub by_group: Vec<Option<Prediction>>,
}

impl Output {
    /// The head's scores, where it gives a single tensor; their shape depends on the head.
    pub fn logits(&self) -> Option<&Tensor> {
        self.prediction.as_ref()?.logits()
    }

    /// Every tensor by the name that it has among the outputs of Hugging Face models.
    /// Those of the head of group N end with `.N`; where all have one shape but for the
    /// rows, `logits` holds them one below the other.
    pub fn named(&self) -> candle_core::Result<Vec<(String, Tensor)>> {
        let mut named = vec![("last_hidden_state".to_owned(), self.last_hidden_state.clone())];
        let predictions =
            self.prediction.iter().map(Prediction::named).collect::<candle_core::Result<Vec<_>>>()?;
        named.extend(predictions.into_iter().flatten().map(|(name, tensor)| (name.to_owned(), tensor)));
        for (group, prediction) in self.by_group.iter().enumerate() {
            let Some(prediction) = prediction else { continue };
            let own = prediction.named()?.into_iter();
            named.extend(own.map(|(name, tensor)| (format!("{name}.{group}"), tensor)));
        }
        let all: Option<Vec<&Tensor>> = self.by_group.iter().map(|p| p.as_ref()?.logits()).collect();
        match all.as_deref() {
            Some(all @ [first, ..]) if all.iter().all(|t| t.dims()[1..] == first.dims()[1..]) => {
                named.push(("logits".to_owned(), Tensor::cat(all, 0)?));
            }
            _ => {}
        }
        Ok(named)
    }
}

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
}

impl StitchedModel {
    /// The plain backbone, with the head its checkpoint brings, if any.
    pub fn plain(backbone: Arc<Backbone>) -> Result<Self, ModelError> {
        let head = LoadedHead::of_base(&backbone)?;
        Ok(Self {
            backbone,
            stitch: Stitch::default(),
            by_task: None,
            head,
            groups: Vec::new(),
            parameters: Parameters::default(),
            regulariser: None,
            drops_layers: false,
        })
    }

    /// A fresh, trainable adapter and head.
    pub fn fresh(
        backbone: Arc<Backbone>,
        method: &Method,
        head: Option<&Head>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let shape = backbone.config().shape;
        method.validate(&shape)?;
        check_modules(&backbone, method)?;
        let parameters = fresh_parameters(&backbone, method, head, seed)?;
        let tensors = parameters.tensors();
        let stitch = Stitch::single(methods::build(method, &shape, &tensors, GateMean::Tokens, 0)?);
        let head = head.map(|h| LoadedHead::fresh(&backbone, h, tensors)).transpose()?;
        Ok(Self {
            backbone,
            stitch,
            by_task: None,
            head,
            groups: Vec::new(),
            parameters,
            regulariser: Regulariser::of(method),
            drops_layers: false,
        })
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
        let shape = backbone.config().shape;
        method.validate(&shape)?;
        check_modules(&backbone, method)?;
        // Detached: no gradient of the head is computed.
        let trained = trained.into_iter().map(|(slot, tensor)| (slot, tensor.detach())).collect();
        let parameters = fresh_parameters(&backbone, method, None, seed)?.with_frozen(trained);
        let tensors = parameters.tensors();
        let stitch = Stitch::single(methods::build(method, &shape, &tensors, GateMean::Tokens, 0)?);
        let head = Some(LoadedHead::fresh(&backbone, head, tensors)?);
        Ok(Self {
            backbone,
            stitch,
            by_task: None,
            head,
            groups: Vec::new(),
            parameters,
            regulariser: None,
            drops_layers: false,
        })
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
        let shape = backbone.config().shape;
        let (members, heads) = load_members(&backbone, named, composition)?;
        let places = fused_places(named, &shape);
        let fusion = |folder: &FusionFolder| {
            let tensors = on_device(&backbone, &folder.read_slots(&places, &shape)?)?;
            let fusion = Fusion::new(&folder.config, &places, &tensors, backbone.config().attention_dropout)?;
            Ok(NamedFusion { name: folder.name.clone(), fusion })
        };
        let fusions = fusions.iter().map(fusion).collect::<Result<Vec<_>, ModelError>>()?;
        let stitch =
            Stitch::compose(composition, members, fusions, semantics(named))?.with_quirks(quirks(named));
        Ok(Self::arranged(backbone, stitch, composition, heads)?)
    }

    fn arranged(
        backbone: Arc<Backbone>,
        stitch: Stitch,
        composition: &Composition,
        heads: BTreeMap<String, LoadedHead>,
    ) -> Result<Self, HeadLoadError> {
        let (mut head, groups) = choose_heads(composition, heads);
        if head.is_none() && groups.is_empty() {
            head = LoadedHead::of_base(&backbone)?;
        }
        let by_task = composition.has_tasks().then(|| composition.clone());
        let parameters = Parameters::default();
        Ok(Self {
            backbone,
            stitch,
            by_task,
            head,
            groups,
            parameters,
            regulariser: None,
            drops_layers: false,
        })
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

    /// Runs backbone, adapters and head.
    pub fn forward(&self, batch: &Batch, mode: Mode) -> candle_core::Result<Output> {
        match &self.by_task {
            None => self.run(&self.stitch, batch, mode),
            Some(composition) => self.forward_by_task(composition, batch, mode),
        }
    }

    fn run(&self, stitch: &Stitch, batch: &Batch, mode: Mode) -> candle_core::Result<Output> {
        let Hidden { state, attention_mask } = self.backbone.forward(batch, stitch, mode)?;
        let features = Features {
            backbone: &self.backbone,
            hooks: stitch,
            state: &state,
            attention_mask: &attention_mask,
        };
        let invert = |x| stitch.invert(x);
        let input = HeadInput { features, batch, mode, invert: &invert };
        let prediction = self.head.as_ref().map(|head| head.forward(&input)).transpose()?;
        let by_group = self.predict_groups(&input)?;
        Ok(Output { last_hidden_state: state, prediction, by_group })
    }

    /// What the head reads, `[b, h]`: worth keeping when nothing below the head is trained.
    /// `None` without a head on whole sequences.
    pub fn pooled(&self, batch: &Batch) -> candle_core::Result<Option<Tensor>> {
        let Some(head) = &self.head else { return Ok(None) };
        let Hidden { state, attention_mask } = self.backbone.forward(batch, &self.stitch, Mode::Eval)?;
        head.layers().pool(&self.features(&state, &attention_mask))
    }

    /// Scores `[b, labels]` from what [`pooled`](Self::pooled) returned.
    pub fn logits(&self, pooled: &Tensor, mode: Mode) -> candle_core::Result<Option<Tensor>> {
        match &self.head {
            Some(head) => head.layers().scores(pooled, mode),
            None => Ok(None),
        }
    }

    fn predict_groups(&self, input: &HeadInput<'_>) -> candle_core::Result<Vec<Option<Prediction>>> {
        let Features { state, attention_mask, .. } = input.features;
        let alike = state.dim(0)? / self.groups.len().max(1);
        let mut start = 0;
        let mut predict = |(rows, head): &(Option<usize>, Option<LoadedHead>)| {
            let rows = rows.unwrap_or(alike);
            let own = |x: &Tensor| x.narrow(0, start, rows)?.contiguous();
            let (state, attention_mask) = (own(state)?, own(attention_mask)?);
            start += rows;
            let features = self.features(&state, &attention_mask);
            head.as_ref().map(|head| head.forward(&HeadInput { features, ..*input })).transpose()
        };
        self.groups.iter().map(&mut predict).collect()
    }

    fn features<'a>(&'a self, state: &'a Tensor, attention_mask: &'a Tensor) -> Features<'a> {
        Features { backbone: &self.backbone, hooks: &self.stitch, state, attention_mask }
    }

    /// What training changes. Empty for a loaded model.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What the head computes, when there is one.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref().map(LoadedHead::config)
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

/// The adapters of several folders, and the heads that they bring, by name.
fn load_members(
    backbone: &Backbone,
    named: &[(String, &AdapterFolder)],
    composition: &Composition,
) -> Result<(Vec<Member>, BTreeMap<String, LoadedHead>), ModelError> {
    let shape = backbone.config().shape;
    let mut members = Vec::new();
    let mut heads = BTreeMap::new();
    for (salt, (name, folder)) in named.iter().enumerate() {
        if folder.composition().is_some() {
            return Err(ModelError::Nested(folder.path.clone()));
        }
        check_architecture(backbone, folder)?;
        folder.method.validate(&shape)?;
        check_modules(backbone, &folder.method)?;
        check_copies(composition, name, &folder.method, &shape)?;
        let tensors = on_device(backbone, &folder.read_slots(&shape)?)?;
        let mean = gate_mean(folder);
        let adapter = methods::build(&folder.method, &shape, &tensors, mean, salt as u64)?;
        members.push(Member { name: name.clone(), adapter });
        if let Some(head) = LoadedHead::of_folder(backbone, folder, &tensors)? {
            heads.insert(name.clone(), head);
        }
    }
    Ok((members, heads))
}

/// A head of the whole batch, or heads of groups of rows with how many rows they have.
type Heads = (Option<LoadedHead>, Vec<(Option<usize>, Option<LoadedHead>)>);

/// Which heads predict: that of the last adapter, or where the last block divides the
/// rows, that of each member's last adapter.
fn choose_heads(composition: &Composition, mut heads: BTreeMap<String, LoadedHead>) -> Heads {
    let mut take = |child: &Composition| heads.remove(child.last()?);
    let groups: Vec<_> = match composition.outermost() {
        single @ Composition::Single(_) => return (take(single), Vec::new()),
        Composition::Parallel(children) => children.iter().map(|child| (None, take(child))).collect(),
        Composition::BatchSplit { children, batch_sizes } => {
            children.iter().zip(batch_sizes).map(|(child, &rows)| (Some(rows), take(child))).collect()
        }
        _ => Vec::new(),
    };
    if groups.iter().any(|(_, head)| head.is_some()) { (None, groups) } else { (None, Vec::new()) }
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
    let start = |slot: &Slot| methods::start(slot, backbone);
    Ok(Parameters::fresh(&drawn, start, seed, backbone.dtype(), backbone.device())?)
}

/// Tensors of a folder in the backbone's precision.
fn on_device(
    backbone: &Backbone,
    slots: &BTreeMap<String, SlotData>,
) -> candle_core::Result<BTreeMap<String, Tensor>> {
    let read = |data| tensor(data, backbone.device())?.to_dtype(backbone.dtype());
    slots.iter().map(|(slot, data)| Ok((slot.clone(), read(data)?))).collect()
}

/// What an adapter's gates average over: as its manifest says, else as its library does.
fn gate_mean(folder: &AdapterFolder) -> GateMean {
    match folder.semantics().gating_mean {
        Some(GatingMean::Tokens) => GateMean::Tokens,
        Some(GatingMean::AllPositions) | None => GateMean::AllPositions,
    }
}

/// Adapters of the `adapters` library are composed as it composes them; one that was
/// trained here, or comes from PEFT, makes the plain meaning of the blocks apply.
fn semantics(named: &[(String, &AdapterFolder)]) -> Semantics {
    let is_library =
        |folder: &AdapterFolder| folder.semantics().composition == Some(CompositionRules::Adapters);
    if named.iter().all(|(_, folder)| is_library(folder)) { Semantics::Library } else { Semantics::Plain }
}

/// What the libraries of the adapters compute otherwise.
fn quirks(named: &[(String, &AdapterFolder)]) -> Quirks {
    Quirks {
        free_prompts: named.iter().any(|(_, folder)| folder.semantics().prompts_see_padding),
        drops_segments: named.iter().any(|(_, folder)| folder.semantics().drops_segments),
    }
}

/// The sub-layers at which any of the adapters has a bottleneck.
fn fused_places(named: &[(String, &AdapterFolder)], shape: &BackboneShape) -> Vec<(usize, SubLayer)> {
    let bottlenecks =
        named.iter().flat_map(|(_, folder)| folder.method.parts()).filter_map(|part| match part {
            Method::Bottleneck(config) => Some(config),
            _ => None,
        });
    // A fusion stands wherever the configuration puts adapters, left-out layers included.
    let placed = |sublayer| {
        bottlenecks.clone().any(|config| match sublayer {
            SubLayer::Attention => config.mh_adapter,
            SubLayer::Ffn => config.output_adapter,
        })
    };
    let sublayers: Vec<SubLayer> = SubLayer::ALL.into_iter().filter(|&s| placed(s)).collect();
    (0..shape.num_layers).flat_map(|layer| sublayers.iter().map(move |&s| (layer, s))).collect()
}

/// Trained copies of tensors outside of linear layers apply to a whole batch.
fn check_copies(
    composition: &Composition,
    name: &str,
    method: &Method,
    shape: &BackboneShape,
) -> Result<(), ModelError> {
    let copies = method.slots(shape).into_iter().filter_map(|slot| match slot.place {
        Place::Module(module) if slot.part.starts_with("replaced") => Some(module),
        _ => None,
    });
    let Some(tensor) = copies.into_iter().find(|module| !module.is_linear()) else { return Ok(()) };
    match composition.outermost() {
        Composition::Single(_) | Composition::Nothing | Composition::Stack(_) => Ok(()),
        other => Err(StitchError::Replaced {
            name: name.to_owned(),
            tensor: tensor.to_string(),
            block: other.block(),
        }
        .into()),
    }
}

/// Refuses what would train or load tensors that no computation reads.
fn check_modules(backbone: &Backbone, method: &Method) -> Result<(), ModelError> {
    let config = backbone.config();
    let slots = method.parts().iter().flat_map(|part| part.slots(&config.shape));
    let modules = slots.filter_map(|slot| match slot.place {
        Place::Module(module) => Some(module),
        _ => None,
    });
    let base = config.architecture;
    match modules.into_iter().find(|&module| !base.has(module)) {
        None => Ok(()),
        Some(module) => {
            let sites: Vec<&str> = base.linear_sites().into_iter().map(LinearSite::as_str).collect();
            Err(ModelError::Module { module, base, sites: sites.join(", ") })
        }
    }
}

fn check_architecture(backbone: &Backbone, folder: &AdapterFolder) -> Result<(), ModelError> {
    let base = backbone.config().architecture;
    // PEFT does not write the architecture; where module paths are the same, or the file
    // names no module at all, it can't be told.
    let unstated = folder.format == Format::Peft && folder.manifest.is_none();
    let shape = backbone.config().shape;
    let names_none = || {
        let shared = |part: &Method| part.slots(&shape).iter().all(|slot| slot.place == Place::Shared);
        let same_head = folder.architecture.is_decoder() && base.is_decoder();
        (folder.head.is_none() || same_head) && folder.method.parts().iter().all(shared)
    };
    if folder.architecture == base || unstated && names_none() {
        return Ok(());
    }
    // The same paths wherever the adapter has tensors are enough.
    let mut modules =
        folder.method.parts().into_iter().flat_map(|part| part.slots(&shape)).filter_map(|slot| {
            match slot.place {
                Place::Module(module) => Some(module),
                _ => None,
            }
        });
    let path = |architecture: Architecture, module| architecture.module_path(module);
    let mut same_paths =
        || !folder.prefixed && modules.all(|m| base.has(m) && path(base, m) == path(folder.architecture, m));
    if unstated && (same_paths() || base.shares_modules(folder.architecture, folder.prefixed)) {
        return Ok(());
    }
    Err(ModelError::Architecture { folder: folder.path.clone(), adapter: folder.architecture, base })
}
