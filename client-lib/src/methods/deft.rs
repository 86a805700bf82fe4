//! DEFT (2025): `y = W x + b − Q Sᵀ W x + s · Q R dropout(x)`. Equal to PEFT 0.21, which computes it in single
//! precision whatever the backbone's.
//!
//! `Q = P`, `S = relu(P)`, or both are the orthonormal factor of `P`. `PaRa` has no last term.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::{
    backbone::{BackboneShape, Module},
    method::{DeftConfig, DeftDecomposition},
};

use super::{Adapter, on_linears::at_each, orthogonal::columns::orthonormal_factor, take};
use crate::{backbones::LinearInput, init::Initialiser, ops::linear};

/// The projections of every adapted layer.
#[derive(Debug)]
pub(super) struct Deft {
    layers: BTreeMap<Module, Projection>,
    decomposition: DeftDecomposition,
    dropout: f64,
    salt: u64,
}

/// `P [out, r]` and `R [r, in]` of one layer.
#[derive(Debug)]
struct Projection {
    p: Tensor,
    put_in: Option<Tensor>,
    scaling: f64,
}

impl Deft {
    pub(super) fn new(
        config: &DeftConfig,
        shape: &BackboneShape,
        tensors: &BTreeMap<String, Tensor>,
        salt: u64,
    ) -> Result<Self> {
        let layers = at_each(config.targets.iter(), |module| {
            let put_in = || take(tensors, &format!("{module}.deft_r"));
            Ok(Projection {
                p: take(tensors, &format!("{module}.deft_p"))?,
                put_in: (!config.para).then(put_in).transpose()?,
                scaling: config.rank_and_scaling(shape.module_dims(module).1).1,
            })
        })?;
        Ok(Self { layers, decomposition: config.decomposition, dropout: config.dropout, salt })
    }
}

/// `Q` and `S`, `[out, r]` each, of `P`.
fn factors(p: &Tensor, decomposition: DeftDecomposition) -> Result<(Tensor, Tensor)> {
    match decomposition {
        DeftDecomposition::Relu => Ok((p.clone(), p.relu()?)),
        DeftDecomposition::Qr => orthonormal_factor(p).map(|q| (q.clone(), q)),
    }
}

/// What `R` starts as, so that a fresh adapter changes nothing: `Sᵀ W / s` of `W [out, in]`.
pub(super) fn start(config: &DeftConfig, p: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (_, removed) = factors(p, config.decomposition)?;
    let (_, scaling) = config.rank_and_scaling(weight.dim(0)?);
    removed.t()?.matmul(weight)? / scaling
}

impl Adapter for Deft {
    fn is_at(&self, module: Module) -> bool {
        self.layers.contains_key(&module)
    }

    fn transforms(&self, module: Module) -> bool {
        self.is_at(module)
    }

    fn transform(&self, at: &LinearInput<'_>) -> Result<Option<Tensor>> {
        let Some(index) = self.layers.keys().position(|module| *module == at.module) else { return Ok(None) };
        let Some(layer) = self.layers.get(&at.module) else { return Ok(None) };
        let (directions, removed) = factors(&layer.p, self.decomposition)?;
        let product = at.linear.forward_without_bias(at.x)?;
        let mut along = linear(&product, &removed.t()?, None)?.neg()?;
        if let Some(put_in) = &layer.put_in {
            let x = at.context.mode.dropout(at.x, self.dropout, self.salt << 32 | 6 << 24 | index as u64)?;
            along = (along + (linear(&x, put_in, None)? * layer.scaling)?)?;
        }
        let y = (product + linear(&along, &directions, None)?)?;
        match at.linear.bias() {
            Some(bias) => y.broadcast_add(bias).map(Some),
            None => Ok(Some(y)),
        }
    }
}

/// Directions are drawn; what is put in along them starts as what is lost.
pub(super) fn initialiser() -> Initialiser {
    Initialiser::Normal { std: 0.02 }
}
