//! Trained copies of the backbone's own tensors.
//!
//! `BitFit` (Ben Zaken et al. 2022) trains the biases, layer-norm tuning the norms,
//! full fine-tuning everything; PEFT's `bias` and `modules_to_save` add such copies
//! to another method. The file holds the trained values, not differences.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec};
use crate::{
    backbone::{Architecture, BackboneShape, Module},
    layout::{Place, Slot},
};

/// Which tensors of the backbone are replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReplaceConfig {
    /// What people call this selection: `bitfit`, `layer-norm`, `full`, or `modules`.
    pub selection: String,
    /// Canonical names, such as `layers.3.query.bias`.
    pub tensors: BTreeSet<String>,
}

impl ReplaceConfig {
    /// Every bias (Ben Zaken et al. 2022); the pooler's where the head reads it.
    pub fn bitfit(architecture: Architecture, shape: &BackboneShape, pooler: bool) -> Self {
        Self::select("bitfit", architecture, shape, |module, tensor| {
            (pooler || module != Module::Pooler) && is_bias(tensor)
        })
    }

    /// Weight and bias of every norm.
    pub fn layer_norm(architecture: Architecture, shape: &BackboneShape) -> Self {
        Self::select("layer-norm", architecture, shape, |module, _| module.is_norm())
    }

    /// Every tensor of every module, but the kernels of convolutions; the pooler's where the head reads it.
    pub fn full(architecture: Architecture, shape: &BackboneShape, pooler: bool) -> Self {
        Self::select("full", architecture, shape, |module, _| pooler || module != Module::Pooler)
    }

    /// These tensors, chosen one by one.
    pub fn modules(tensors: BTreeSet<String>) -> Self {
        Self { selection: "modules".to_owned(), tensors }
    }

    /// Whether the copies are weights and biases of norms, in pairs: what PEFT's
    /// `LN_TUNING` is meant for.
    pub fn is_norms_only(&self) -> bool {
        self.whole_modules().is_some_and(|modules| modules.into_iter().all(Module::is_norm))
    }

    /// The modules, when all tensors of each of them are replaced; `None` otherwise. Norms may
    /// have no bias; where no bias at all is replaced, the modules count as having none.
    pub fn whole_modules(&self) -> Option<BTreeSet<Module>> {
        let module = |tensor: &String| {
            let table = tensor.parse().ok().filter(|module| matches!(module, Module::Embedding(_)));
            table.or_else(|| tensor.rsplit_once('.')?.0.parse().ok())
        };
        let modules: BTreeSet<Module> = self.tensors.iter().map(module).collect::<Option<_>>()?;
        let has_biases = self.tensors.iter().any(|tensor| is_bias(tensor));
        let is_whole = |module: &Module| {
            let may_lack = |t: &String| (!has_biases || module.is_norm()) && is_bias(t);
            !module.is_convolution()
                && module.tensors().iter().all(|t| self.tensors.contains(t) || may_lack(t))
        };
        modules.iter().all(is_whole).then_some(modules)
    }

    /// Those of the tensors that a backbone has.
    #[must_use]
    pub fn among(mut self, has: impl Fn(&str) -> bool) -> Self {
        self.tensors.retain(|tensor| has(tensor));
        self
    }

    fn select(
        name: &str,
        architecture: Architecture,
        shape: &BackboneShape,
        wanted: impl Fn(Module, &str) -> bool,
    ) -> Self {
        let tensors = (shape.modules(architecture))
            .into_iter()
            .filter(|module| !module.is_in_head() && !module.is_shared())
            .flat_map(|module| module.tensors().into_iter().map(move |tensor| (module, tensor)))
            .filter(|(module, tensor)| wanted(*module, tensor))
            .map(|(_, tensor)| tensor)
            .collect();
        Self { selection: name.to_owned(), tensors }
    }

    /// The module of a canonical tensor name, and its shape.
    fn find(tensor: &str, shape: &BackboneShape) -> Option<(Module, &'static str, Vec<usize>)> {
        if let Ok(module @ Module::Embedding(_)) = tensor.parse() {
            let (rows, width) = shape.module_dims(module);
            return Some((module, "replaced", vec![rows, width]));
        }
        let (module, part) = tensor.rsplit_once('.')?;
        let module: Module = module.parse().ok()?;
        if !shape.may_have(module) {
            return None;
        }
        let (inputs, outputs) = shape.module_dims(module);
        match part {
            "bias" => Some((module, "replaced.bias", vec![outputs])),
            _ if module.is_convolution() => None,
            "weight" if module.is_norm() => Some((module, "replaced.weight", vec![outputs])),
            "weight" => Some((module, "replaced.weight", vec![outputs, inputs])),
            _ => None,
        }
    }
}

fn is_bias(tensor: &str) -> bool {
    tensor.rsplit('.').next() == Some("bias")
}

impl MethodSpec for ReplaceConfig {
    fn kind(&self) -> &'static str {
        "replace"
    }

    fn summary(&self) -> String {
        format!("{} ({} tensors)", self.selection, self.tensors.len())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        let wrong = |found: String, expected: &str| {
            Err(MethodError::Field { field: "tensors", found, expected: expected.to_owned() })
        };
        if self.tensors.is_empty() {
            return wrong("empty".to_owned(), "it must name at least one tensor of the backbone");
        }
        for tensor in &self.tensors {
            match Self::find(tensor, shape) {
                None => return wrong(format!("`{tensor}`"), "it must name tensors of the backbone"),
                Some((module, ..)) => match module.layer() {
                    Some(layer) if layer >= shape.num_layers => {
                        let last = shape.num_layers - 1;
                        return Err(MethodError::Layer { field: "tensors", layer, last });
                    }
                    _ => {}
                },
            }
        }
        Ok(())
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let found = self.tensors.iter().filter_map(|tensor| Self::find(tensor, shape));
        found.map(|(module, part, dims)| Slot::new(Place::Module(module), part, &dims)).collect()
    }
}
