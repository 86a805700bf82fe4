//! A backbone with its adapters and head: what trains, evaluates and predicts.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use candle_core::Tensor;
use hub_schemas::{
    backbone::Architecture,
    head::Head,
    layout::{Slot, method_slots},
    method::{Method, MethodError},
};

pub use crate::backbones::{Batch, Mode};
use crate::{
    backbones::{Backbone, tensor},
    checkpoint::{AdapterFolder, CheckpointError},
    composition::{Composition, Stitch, StitchError},
    heads::{self, HeadInput, HeadLoadError, LoadedHead, Prediction},
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
}

impl Output {
    /// The head's scores, where it gives a single tensor; their shape depends on the head.
    pub fn logits(&self) -> Option<&Tensor> {
        self.prediction.as_ref()?.logits()
    }

    /// Every tensor by the name that it has among the outputs of Hugging Face models.
    pub fn named(&self) -> candle_core::Result<Vec<(&'static str, Tensor)>> {
        let mut named = vec![("last_hidden_state", self.last_hidden_state.clone())];
        if let Some(prediction) = &self.prediction {
            named.extend(prediction.named()?);
        }
        Ok(named)
    }
}

/// A backbone with adapters stitched in and a head on top.
#[derive(Debug)]
pub struct StitchedModel {
    backbone: Arc<Backbone>,
    stitch: Stitch,
    head: Option<LoadedHead>,
    parameters: Parameters,
}

impl StitchedModel {
    /// The plain backbone, with the head its checkpoint brings, if any.
    pub fn plain(backbone: Arc<Backbone>) -> Result<Self, ModelError> {
        let head = LoadedHead::of_base(&backbone)?;
        Ok(Self { backbone, stitch: Stitch::default(), head, parameters: Parameters::default() })
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
        let mut slots = method_slots(method, &shape);
        slots.extend(head.iter().flat_map(|h| heads::trained_slots(h, &backbone)));
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
        let head = head.map(|h| LoadedHead::fresh(&backbone, h, tensors)).transpose()?;
        Ok(Self { backbone, stitch, head, parameters })
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
        let mut head = None;
        for (salt, (name, folder)) in named.iter().enumerate() {
            check_architecture(&backbone, folder)?;
            let slots = folder.read_slots(&shape)?;
            let read = |data| tensor(data, backbone.device())?.to_dtype(backbone.dtype());
            let tensors = slots.iter().map(|(slot, data)| Ok((slot.clone(), read(data)?)));
            let tensors: BTreeMap<String, Tensor> = tensors.collect::<candle_core::Result<_>>()?;
            adapters.insert(name.clone(), methods::build(&folder.method, &shape, &tensors, salt as u64)?);
            if composition.last() == Some(name) {
                head = LoadedHead::of_folder(&backbone, folder, &tensors)?;
            }
        }
        let stitch = Stitch::compose(composition, adapters)?;
        if head.is_none() {
            head = LoadedHead::of_base(&backbone)?;
        }
        Ok(Self { backbone, stitch, head, parameters: Parameters::default() })
    }

    /// Runs backbone, adapters and head.
    pub fn forward(&self, batch: &Batch, mode: Mode) -> candle_core::Result<Output> {
        let last_hidden_state = self.backbone.forward(batch, &self.stitch, mode)?;
        let input = HeadInput {
            backbone: &self.backbone,
            state: &last_hidden_state,
            batch,
            mode,
            // No adapter of this version is invertible.
            invert: &Ok,
        };
        let prediction = self.head.as_ref().map(|head| head.forward(&input)).transpose()?;
        Ok(Output { last_hidden_state, prediction })
    }

    /// What the head reads, `[b, h]`: worth keeping when nothing below the head is trained.
    /// `None` without a head on whole sequences.
    pub fn pooled(&self, batch: &Batch) -> candle_core::Result<Option<Tensor>> {
        let Some(head) = &self.head else { return Ok(None) };
        let state = self.backbone.forward(batch, &self.stitch, Mode::Eval)?;
        head.layers().pool(&self.backbone, &state, batch)
    }

    /// Scores `[b, labels]` from what [`pooled`](Self::pooled) returned.
    pub fn logits(&self, pooled: &Tensor, mode: Mode) -> candle_core::Result<Option<Tensor>> {
        match &self.head {
            Some(head) => head.layers().scores(pooled, mode),
            None => Ok(None),
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

    /// Names of the head's outputs.
    pub fn labels(&self) -> &[String] {
        self.head.as_ref().map_or(&[], LoadedHead::labels)
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
