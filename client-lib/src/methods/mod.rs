//! Adapter methods, each written once against the hook points of `backbones`.

mod adalora;
mod adapter;
mod affine;
mod beft;
mod bottleneck;
mod c3a;
mod deft;
mod delora;
mod dora;
mod gate;
mod glora;
mod gralora;
mod hadamard;
mod hira;
mod ia3;
mod llama_adapter;
mod loha;
mod lokr;
mod lora;
mod miss;
mod on_linears;
mod orthogonal;
mod prefix;
mod prompt;
mod randlora;
mod reft;
mod replace;
mod road;
mod shira;
mod sublayer;
mod tokens;
mod union;
mod vblora;
mod vera;

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::{BackboneShape, Module},
    layout::{Place, Slot},
    method::{DeftConfig, Method, PrefixConfig, PromptConfig, ReftConfig},
};

use crate::{backbones::Backbone, init::Initialiser};

pub use adapter::{Adapter, PrefixStates, Update};
pub use gate::GateMean;
pub use sublayer::{Entry, Exit, SubLayerAdapter};

/// What a method does for which a token's state depends on tokens behind it, or on how many there are: such a
/// method can't write one token after the other. `None` for all others.
pub fn whole_sequence(method: &Method) -> Option<&'static str> {
    let reason = |part: &Method| match part {
        Method::Reft(_) => Some("ReFT changes the first and the last tokens of a sequence"),
        Method::Bottleneck(config) if config.use_gating => Some("its gates average over the sequence"),
        Method::Lora(config) if config.use_gating => Some("its gates average over the sequence"),
        Method::Ia3(config) if config.use_gating => Some("its gates average over the sequence"),
        Method::Vera(config) if config.use_gating => Some("its gates average over the sequence"),
        Method::Prefix(config) if config.use_gating => Some("its gates average over the sequence"),
        Method::Composition(config) if config.expression.contains("Split") => Some("it divides the sequence"),
        _ => None,
    };
    method.parts().iter().find_map(reason)
}

/// Builds the adapter of `method` on tensors by slot. `salt` keeps the dropout masks
/// of several adapters in one model apart.
pub fn build(
    method: &Method,
    shape: &BackboneShape,
    tensors: &BTreeMap<String, Tensor>,
    mean: GateMean,
    salt: u64,
) -> Result<Box<dyn Adapter>> {
    Ok(match method {
        Method::Bottleneck(config) => {
            Box::new(bottleneck::Bottleneck::new(config, shape, tensors, mean, salt)?)
        }
        Method::Lora(config) => Box::new(lora::Lora::new(config, shape, tensors, mean, salt)?),
        Method::AdaLora(config) => Box::new(adalora::load(config, tensors, salt)?),
        Method::Loha(config) => Box::new(loha::load(config, tensors, salt)?),
        Method::Lokr(config) => Box::new(lokr::load(config, tensors, salt)?),
        Method::Oft(config) => Box::new(orthogonal::oft::load(config, shape, tensors)?),
        Method::Boft(config) => Box::new(orthogonal::boft::load(config, shape, tensors)?),
        Method::Beft(config) => Box::new(beft::load(config, tensors)?),
        Method::C3a(config) => Box::new(c3a::load(config, tensors, salt)?),
        Method::Delora(config) => Box::new(delora::load(config, tensors, salt)?),
        Method::Gralora(config) => Box::new(gralora::load(config, tensors, salt)?),
        Method::Hira(config) => Box::new(hira::Hira::new(config, tensors, salt)?),
        Method::Hra(config) => Box::new(orthogonal::hra::load(config, tensors)?),
        Method::Miss(config) => Box::new(miss::load(config, tensors, salt)?),
        Method::RandLora(config) => Box::new(randlora::load(config, shape, tensors, salt)?),
        Method::Road(config) => Box::new(road::load(config, tensors)?),
        Method::Shira(config) => Box::new(shira::load(config, shape, tensors, salt)?),
        Method::VbLora(config) => Box::new(vblora::load(config, tensors, salt)?),
        Method::Glora(config) => Box::new(glora::load(config, tensors)?),
        Method::Deft(config) => Box::new(deft::Deft::new(config, shape, tensors, salt)?),
        Method::Tokens(config) => Box::new(tokens::Tokens::new(config, tensors)?),
        Method::Ia3(config) => Box::new(ia3::Ia3::new(config, shape, tensors, mean)?),
        Method::Vera(config) => Box::new(vera::Vera::new(config, tensors, mean, salt)?),
        Method::Prefix(config) => Box::new(prefix::Prefix::new(config, shape, tensors, mean, salt)?),
        Method::Prompt(config) => Box::new(prompt::Prompt::new(config, tensors)?),
        Method::LlamaAdapter(config) => Box::new(llama_adapter::LlamaAdapter::new(config, shape, tensors)?),
        Method::Reft(config) => Box::new(reft::Reft::new(config, shape, tensors, salt)?),
        Method::Replace(config) => Box::new(replace::Replace::new(config, tensors)?),
        Method::Hadamard(config) => Box::new(hadamard::Hadamard::new(config, shape, tensors)?),
        Method::Union(config) => {
            let parts = config.parts.iter().map(|part| build(part, shape, tensors, mean, salt));
            Box::new(union::Union(parts.collect::<Result<_>>()?))
        }
        Method::Composition(_) => candle_core::bail!("a composition can't be a member of another one"),
        Method::LastLayer => Box::new(NoAdapter),
    })
}

/// How a fresh tensor of `method` is drawn.
pub fn initialiser(method: &Method, slot: &Slot) -> Initialiser {
    match method {
        Method::Bottleneck(config) => bottleneck::initialiser(config, slot),
        Method::Lora(config) => lora::initialiser(config, slot),
        Method::AdaLora(_) => adalora::initialiser(slot),
        Method::Loha(_) => loha::initialiser(slot),
        Method::Lokr(_) => lokr::initialiser(slot),
        Method::Oft(_) => orthogonal::oft::initialiser(),
        Method::Boft(_) => orthogonal::boft::initialiser(slot),
        Method::Beft(_) => beft::initialiser(),
        Method::C3a(_) => c3a::initialiser(slot),
        Method::Delora(config) => delora::initialiser(config, slot),
        Method::Gralora(_) => gralora::initialiser(slot),
        Method::Hira(_) => hira::initialiser(slot),
        Method::Hra(_) => orthogonal::hra::initialiser(slot),
        Method::Miss(_) => miss::initialiser(),
        Method::RandLora(_) => randlora::initialiser(slot),
        Method::Road(_) => road::initialiser(slot),
        Method::Shira(_) => shira::initialiser(),
        Method::VbLora(_) => vblora::initialiser(slot),
        Method::Glora(_) => glora::initialiser(slot),
        Method::Deft(_) => deft::initialiser(),
        Method::Tokens(_) => tokens::initialiser(),
        Method::Ia3(_) => ia3::initialiser(slot),
        Method::Vera(config) => vera::initialiser(config, slot),
        Method::Prefix(config) => prefix::initialiser(slot, config),
        Method::Prompt(config) => prompt::initialiser(config, slot),
        Method::LlamaAdapter(_) => llama_adapter::initialiser(slot),
        Method::Reft(config) => reft::initialiser(config, slot),
        Method::Hadamard(_) => hadamard::initialiser(slot),
        Method::Replace(_) | Method::Union(_) | Method::Composition(_) | Method::LastLayer => {
            Initialiser::Constant(0.0)
        }
    }
}

/// What a trained adapter is saved as, but for what only training finds out.
pub(crate) fn saved_form(method: &Method) -> Method {
    match method {
        Method::Prompt(config) => {
            Method::Prompt(PromptConfig { encoder_hidden_size: None, ..config.clone() })
        }
        Method::Prefix(config) if prefix::folds(config) => {
            Method::Prefix(PrefixConfig { bottleneck_size: None, ..config.clone() })
        }
        Method::Reft(config) if reft::folds(config) => {
            Method::Reft(ReftConfig { subtract_projection: true, ..config.clone() })
        }
        _ => method.clone(),
    }
}

/// What a trained adapter is saved as: without what only training needed. `tensors` may hold
/// more than the method's own, which stay.
pub(crate) fn finished(
    method: &Method,
    tensors: BTreeMap<String, Tensor>,
    shape: &BackboneShape,
) -> Result<(Method, BTreeMap<String, Tensor>)> {
    let (saved, own) = match method {
        Method::AdaLora(config) => {
            let (config, own) = adalora::pruned(config, &tensors)?;
            (Method::AdaLora(config), own)
        }
        Method::Prompt(config) if config.encoder_hidden_size.is_some() => {
            let (config, own) = prompt::folded(config, &tensors)?;
            (Method::Prompt(config), own)
        }
        Method::Prefix(config) if prefix::folds(config) => {
            let (config, own) = prefix::folded(config, shape, &tensors)?;
            (Method::Prefix(config), own)
        }
        Method::Reft(config) if reft::folds(config) => {
            (saved_form(method), reft::folded(config, shape, &tensors)?)
        }
        _ => return Ok((method.clone(), tensors)),
    };
    let mut tensors = tensors;
    for slot in hub_schemas::layout::method_slots(method, shape) {
        tensors.remove(&slot.name);
    }
    tensors.extend(own);
    Ok((saved, tensors))
}

/// What a fresh tensor starts as, where that depends on the backbone: copies as what they
/// copy, magnitudes as the norms of the rows they belong to.
pub(crate) fn start(method: &Method, slot: &Slot, backbone: &Backbone, seed: u64) -> Result<Option<Tensor>> {
    let Place::Module(module) = slot.place else { return Ok(None) };
    let weight = || backbone.tensor(&format!("{module}.weight"));
    match slot.part.as_str() {
        "replaced" => backbone.tensor(&module.to_string()),
        "replaced.weight" => weight(),
        "replaced.bias" => backbone.tensor(&format!("{module}.bias")),
        // A table's rows are inputs.
        "magnitude" if matches!(module, Module::Embedding(_)) => {
            norms(backbone.tensor(&module.to_string())?, 0)
        }
        "magnitude" => norms(weight()?, 1),
        "delora_w_norm" => norms(weight()?, 0),
        "shira_indices" => {
            let (inputs, outputs) = backbone.config().shape.module_dims(module);
            shira::places(slot, (outputs, inputs), seed, backbone.device()).map(Some)
        }
        "deft_r" => match (weight()?, method.parts().iter().find_map(deft_of)) {
            (Some(weight), Some(config)) => {
                let dims = [weight.dim(0)?, slot.shape[0]];
                let p = Slot::new(slot.place, "deft_p", &dims);
                let p = Tensor::from_vec(deft::initialiser().draw(&p, seed), &dims, weight.device())?;
                deft::start(config, &p.to_dtype(weight.dtype())?, &weight).map(Some)
            }
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

fn deft_of(part: &Method) -> Option<&DeftConfig> {
    match part {
        Method::Deft(config) => Some(config),
        _ => None,
    }
}

/// Lengths of a matrix's rows (`dim` 1) or columns (`dim` 0).
fn norms(weight: Option<Tensor>, dim: usize) -> Result<Option<Tensor>> {
    weight.map(|weight| weight.sqr()?.sum(dim)?.sqrt()).transpose()
}

/// Training only the head changes nothing inside the backbone.
#[derive(Debug)]
struct NoAdapter;

impl Adapter for NoAdapter {}

/// A tensor that must be there.
fn take(tensors: &BTreeMap<String, Tensor>, slot: &str) -> Result<Tensor> {
    match tensors.get(slot) {
        Some(tensor) => Ok(tensor.clone()),
        None => candle_core::bail!("the adapter has no tensor for `{slot}`"),
    }
}
