//! How fresh tensors of a bottleneck are drawn.

use hub_schemas::{
    layout::{Place, Slot},
    method::{BottleneckConfig, InitScheme, PhmConfig, PhmInit},
};

use crate::init::Initialiser;

/// By the slot's part: norms start as the identity, scalings at one, biases at zero.
pub(in crate::methods) fn initialiser(config: &BottleneckConfig, slot: &Slot) -> Initialiser {
    let part = slot.part.as_str();
    if part == "scaling" || part.starts_with("norm_") && part.ends_with(".weight") {
        return Initialiser::Constant(1.0);
    }
    // As PyTorch draws it.
    if part.ends_with("activation.weight") {
        return Initialiser::Constant(0.25);
    }
    if part.ends_with("bias") {
        return Initialiser::Constant(0.0);
    }
    if part.starts_with("invertible.") {
        return Initialiser::Normal { std: 0.02 };
    }
    if let Some(phm) = &config.phm
        && !part.starts_with("gate.")
    {
        return hypercomplex(phm, slot);
    }
    match config.init_weights {
        InitScheme::Bert => Initialiser::Normal { std: 0.02 },
        InitScheme::Houlsby => Initialiser::TruncatedNormal { std: 0.01 },
        InitScheme::MamAdapter if part == "down.weight" => Initialiser::KaimingUniform,
        InitScheme::MamAdapter if part == "gate.weight" => Initialiser::Normal { std: 0.02 },
        InitScheme::MamAdapter => Initialiser::Constant(0.0),
    }
}

/// Rules from narrow distributions, weights Xavier-normal by slice (Glorot & Bengio
/// 2010), as `adapters` draws them whatever its configuration says.
fn hypercomplex(phm: &PhmConfig, slot: &Slot) -> Initialiser {
    if !slot.part.contains("rule") {
        let (rows, columns) = (slot.shape[1] as f64, slot.shape[2] as f64);
        return Initialiser::Normal { std: (2.0 / (rows + columns)).sqrt() };
    }
    match (phm.phm_c_init, slot.place == Place::Shared) {
        (PhmInit::Normal, true) => Initialiser::Normal { std: phm.phm_init_range },
        (PhmInit::Normal, false) => Initialiser::Normal { std: 0.01 },
        (PhmInit::Uniform, true) => Initialiser::Uniform { bound: 1.0 },
        (PhmInit::Uniform, false) => Initialiser::Uniform { bound: 0.01 },
    }
}
