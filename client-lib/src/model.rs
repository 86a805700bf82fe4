//! A backbone with its adapters and head: what trains, evaluates and predicts.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use candle_core::Tensor;
use hub_schemas::{
    backbone::Architecture,
    head::{ClassificationHead, Head},
    layout::{Slot, head_slots, method_slots},
    method::{Method, MethodError},
};

pub use crate::backbones::{Batch, Mode};
use crate::{
    backbones::{Backbone, tensor},
    checkpoint::{AdapterFolder, CheckpointError},
    composition::{Composition, Stitch, StitchError},
    heads::{self, PredictionHead},
    methods,
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
    /// The head needs a pooler that the checkpoint lacks.
    #[error("the head reads the pooled output, but the base model's checkpoint has no pooler")]
    NoPooler,
    /// The tensors can't be used.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// What a forward pass gives.
#[derive(Debug, Clone)]
pub struct Output {
    /// `[b, t, h]`
    pub last_hidden_state: Tensor,
    /// `[b, labels]`, when there is a head.
    pub logits: Option<Tensor>,
}

/// A backbone with adapters stitched in and a head on top.
#[derive(Debug)]
pub struct StitchedModel {
    backbone: Arc<Backbone>,
    stitch: Stitch,
    head: Option<PredictionHead>,
    labels: Vec<String>,
    parameters: Parameters,
}

impl StitchedModel {
    /// The plain backbone, with the classifier its checkpoint brings, if any.
    pub fn plain(backbone: Arc<Backbone>) -> Result<Self, ModelError> {
        let (head, labels) = base_head(&backbone)?;
        Ok(Self { backbone, stitch: Stitch::default(), head, labels, parameters: Parameters::default() })
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
        check_pooler(&backbone, head)?;
        let mut slots = method_slots(method, &shape);
        slots.extend(head.iter().flat_map(|h| head_slots(h, shape.hidden_size)));
        let initialiser = |slot: &Slot| {
            if slot.name.starts_with("head.") {
                heads::initialiser(slot)
            } else {
                methods::initialiser(method, slot)
            }
        };
        let parameters = Parameters::fresh(&slots, initialiser, seed, backbone.dtype(), backbone.device())?;
        let tensors = parameters.tensors();
        let stitch = Stitch::single(methods::build(method, &shape, &tensors, 0)?);
        let head = head.map(|h| PredictionHead::build(h, &tensors)).transpose()?;
        Ok(Self { backbone, stitch, head, labels: Vec::new(), parameters })
    }

    /// One saved adapter, for inference.
    pub fn load(backbone: Arc<Backbone>, folder: &AdapterFolder) -> Result<Self, ModelError> {
        let name = folder.name.clone();
        Self::compose(backbone, std::slice::from_ref(&(name.clone(), folder)), &Composition::Single(name))
    }

    /// Several saved adapters, for inference. The head is that of the composition's
    /// last member, or the base checkpoint's.
    pub fn compose(
        backbone: Arc<Backbone>,
        named: &[(String, &AdapterFolder)],
        composition: &Composition,
    ) -> Result<Self, ModelError> {
        let shape = backbone.config().shape;
        let mut adapters = BTreeMap::new();
        let (mut head, mut labels) = (None, Vec::new());
        for (salt, (name, folder)) in named.iter().enumerate() {
            check_architecture(&backbone, folder)?;
            let slots = folder.read_slots(&shape)?;
            let read = |data| tensor(data, backbone.device())?.to_dtype(backbone.dtype());
            let tensors = slots.iter().map(|(slot, data)| Ok((slot.clone(), read(data)?)));
            let tensors: BTreeMap<String, Tensor> = tensors.collect::<candle_core::Result<_>>()?;
            adapters.insert(name.clone(), methods::build(&folder.method, &shape, &tensors, salt as u64)?);
            if composition.last() == Some(name) && folder.head.is_some() {
                check_pooler(&backbone, folder.head.as_ref())?;
                head = folder.head.as_ref().map(|h| PredictionHead::build(h, &tensors)).transpose()?;
                labels.clone_from(&folder.labels);
            }
        }
        let stitch = Stitch::compose(composition, adapters)?;
        if head.is_none() {
            (head, labels) = base_head(&backbone)?;
        }
        Ok(Self { backbone, stitch, head, labels, parameters: Parameters::default() })
    }

    /// Runs backbone, adapters and head.
    pub fn forward(&self, batch: &Batch, mode: Mode) -> candle_core::Result<Output> {
        let last_hidden_state = self.backbone.forward(batch, &self.stitch, mode)?;
        let head = self.head.as_ref();
        let logits = head.map(|h| h.forward(&self.backbone, &last_hidden_state, batch, mode)).transpose()?;
        Ok(Output { last_hidden_state, logits })
    }

    /// What the head reads, `[b, h]`: worth keeping when nothing below the head is trained.
    pub fn pooled(&self, batch: &Batch) -> candle_core::Result<Option<Tensor>> {
        let Some(head) = &self.head else { return Ok(None) };
        let state = self.backbone.forward(batch, &self.stitch, Mode::Eval)?;
        head.pool(&self.backbone, &state, batch).map(Some)
    }

    /// Logits `[b, labels]` from what [`pooled`](Self::pooled) returned.
    pub fn logits(&self, pooled: &Tensor, mode: Mode) -> candle_core::Result<Option<Tensor>> {
        self.head.as_ref().map(|head| head.logits(pooled, mode)).transpose()
    }

    /// What training changes. Empty for a loaded model.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Names of the head's outputs.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The frozen backbone.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }
}

fn check_architecture(backbone: &Backbone, folder: &AdapterFolder) -> Result<(), ModelError> {
    let base = backbone.config().architecture;
    if folder.architecture == base {
        return Ok(());
    }
    Err(ModelError::Architecture { folder: folder.path.clone(), adapter: folder.architecture, base })
}

fn check_pooler(backbone: &Backbone, head: Option<&Head>) -> Result<(), ModelError> {
    let Some(Head::Classification(head)) = head else { return Ok(()) };
    let needed = head.pooling == hub_schemas::head::Pooling::Pooler;
    if needed && !backbone.has_pooler() { Err(ModelError::NoPooler) } else { Ok(()) }
}

fn base_head(backbone: &Backbone) -> Result<(Option<PredictionHead>, Vec<String>), ModelError> {
    let Some(head) = backbone.head() else { return Ok((None, Vec::new())) };
    let config = Head::Classification(ClassificationHead::pooled(head.labels.len()));
    let tensors =
        [("head.0.weight".to_owned(), head.weight.clone()), ("head.0.bias".to_owned(), head.bias.clone())];
    Ok((Some(PredictionHead::build(&config, &tensors.into())?), head.labels.clone()))
}
