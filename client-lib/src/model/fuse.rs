//! Saved compositions, and the second stage of `AdapterFusion` (Pfeiffer et al. 2021): the
//! backbone and the members are frozen, the attention over them and a head are trained.

use std::{collections::BTreeMap, sync::Arc};

use candle_core::{DType, Tensor};
use hub_formats::checkpoint::AdapterFolder;
use hub_schemas::{
    backbone::{BackboneShape, SubLayer},
    head::Head,
    layout::Slot,
    method::{ComposedFusion, CompositionConfig, Method},
};

use super::{Composition, ModelError, NamedFusion, Regulariser, StitchedModel, checks, members};
use crate::{
    backbones::Backbone,
    composition::{ExpressionError, Fusion, Stitch},
    heads::{self, LoadedHead},
    init::Initialiser,
    params::Parameters,
};

/// The tensor that starts as the identity.
const VALUE: &str = ".fusion.value.weight";
/// What stands beside the diagonal of a fresh value projection, as in `adapters`.
const OFF_DIAGONAL: f64 = 1e-6;

impl StitchedModel {
    /// A fresh, trainable fusion and, where it brings one, head over saved members, which stay as they are.
    pub fn fresh_fusion(
        backbone: Arc<Backbone>,
        config: &CompositionConfig,
        named: &[(String, &AdapterFolder)],
        head: Option<&Head>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let parameters = fresh_parameters(&backbone, config, head, seed)?;
        let tensors = parameters.tensors();
        let composition = expression(config)?;
        let (adapters, _) = members::load(&backbone, named, &composition)?;
        let fusions = build_fusion(&backbone, config, &tensors)?;
        let stitch = Stitch::compose(&composition, adapters, fusions, members::semantics(named))?;
        let head = head.map(|head| LoadedHead::fresh(&backbone, head, &tensors)).transpose()?;
        let pulled = config.fusion.as_ref().is_some_and(|f| f.config.regularization && f.config.value);
        let regulariser = pulled.then_some(Regulariser::FusionValues);
        Ok(Self { head, parameters, regulariser, ..Self::under(backbone, stitch) })
    }

    /// A saved composition with its members, for inference. The head is the composition's
    /// own, or else chosen among the members' as [`compose`](Self::compose) does.
    pub fn load_composition(
        backbone: Arc<Backbone>,
        folder: &AdapterFolder,
        named: &[(String, &AdapterFolder)],
    ) -> Result<Self, ModelError> {
        let Some(config) = folder.composition() else { return Self::load(backbone, folder) };
        checks::architecture(&backbone, folder)?;
        let composition = expression(config)?;
        let tensors = members::on_device(&backbone, &folder.read_slots(&backbone.config().shape)?)?;
        let (adapters, heads) = members::load(&backbone, named, &composition)?;
        let fusions = build_fusion(&backbone, config, &tensors)?;
        let stitch = Stitch::compose(&composition, adapters, fusions, members::semantics(named))?
            .with_quirks(members::quirks(named, backbone.config().architecture));
        let own = LoadedHead::of_folder(&backbone, folder, &tensors)?;
        let mut model = Self::arranged(backbone, stitch, &composition, heads)?;
        if own.is_some() {
            (model.head, model.groups) = (own, Vec::new());
        }
        Ok(model)
    }
}

/// At which sub-layers a fusion of these adapters stands: wherever one of them has a
/// bottleneck. A member without any is refused.
pub fn fused_sublayers(
    named: &[(String, &AdapterFolder)],
    shape: &BackboneShape,
) -> Result<Vec<SubLayer>, ModelError> {
    for (name, folder) in named {
        if folder.composition().is_some() {
            return Err(ModelError::Nested(folder.path.clone()));
        }
        if !folder.method.parts().iter().any(|part| matches!(part, Method::Bottleneck(_))) {
            return Err(ModelError::NotFusible { name: name.clone(), method: folder.method.summary() });
        }
    }
    let places = members::fused_places(named, shape);
    let is_there = |sublayer: &SubLayer| places.iter().any(|(_, found)| found == sublayer);
    Ok(SubLayer::ALL.into_iter().filter(is_there).collect())
}

fn expression(config: &CompositionConfig) -> Result<Composition, ExpressionError> {
    config.expression.parse()
}

fn build_fusion(
    backbone: &Backbone,
    config: &CompositionConfig,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Vec<NamedFusion>, ModelError> {
    let build = |fusion: &ComposedFusion| {
        let places = fusion.places(&backbone.config().shape);
        let dropout = backbone.config().attention_dropout;
        let built = Fusion::new(&fusion.config, &places, tensors, dropout)?;
        Ok(NamedFusion { name: fusion.name.clone(), fusion: built })
    };
    config.fusion.iter().map(build).collect()
}

/// Queries and keys start as N(0, 0.02²), biases at zero, and values near the identity where
/// the configuration says so: at the start a fusion is a soft choice among its members.
fn fresh_parameters(
    backbone: &Backbone,
    config: &CompositionConfig,
    head: Option<&Head>,
    seed: u64,
) -> Result<Parameters, ModelError> {
    let shape = backbone.config().shape;
    let fusion_slots = config.fusion.iter().flat_map(|fusion| {
        let places = fusion.places(&shape);
        fusion.config.slots(&places, &shape)
    });
    let drawn: Vec<(Slot, Initialiser)> = fusion_slots
        .map(|slot| {
            let is_bias = slot.shape.len() == 1;
            let initialiser =
                if is_bias { Initialiser::Constant(0.0) } else { Initialiser::Normal { std: 0.02 } };
            (slot, initialiser)
        })
        .chain(head.iter().flat_map(|head| heads::trained_slots(head, backbone)).map(|slot| {
            let initialiser = heads::initialiser(&slot);
            (slot, initialiser)
        }))
        .collect();
    let near_identity = config.fusion.as_ref().is_some_and(|fusion| fusion.config.value_initialized);
    let start = |slot: &Slot| -> candle_core::Result<Option<Tensor>> {
        if !near_identity || !slot.name.ends_with(VALUE) {
            return Ok(None);
        }
        let eye = Tensor::eye(shape.hidden_size, DType::F64, backbone.device())?;
        ((eye * (1.0 - OFF_DIAGONAL))? + OFF_DIAGONAL).map(Some)
    };
    Ok(Parameters::fresh(&drawn, start, seed, backbone.dtype(), backbone.device())?)
}
