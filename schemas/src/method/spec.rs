//! What every adapter method's configuration can tell without any weights.

use std::{fmt::Display, ops::RangeBounds};

use super::{LoraPattern, RankPattern};
use crate::{
    backbone::{BackboneShape, Module, Targets},
    layout::Slot,
};

/// A configuration that no file or model can have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MethodError {
    /// A value outside of what it may be.
    #[error("`{field}` is {found}; {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A layer that the backbone does not have.
    #[error("`{field}` names layer {layer}, but the backbone has layers 0 to {last}")]
    Layer {
        /// The field.
        field: &'static str,
        /// The layer that does not exist.
        layer: usize,
        /// The last layer that does.
        last: usize,
    },
    /// A module of a kind that the method can't change.
    #[error("`{field}` names `{module}`; {expected}")]
    Module {
        /// The field.
        field: &'static str,
        /// The module.
        module: Module,
        /// What may stand there.
        expected: &'static str,
    },
    /// Two parts of a union that want the same tensor.
    #[error("two parts of the union have the tensor `{slot}`")]
    Overlap {
        /// The tensor.
        slot: String,
    },
}

/// The configuration of one adapter method.
pub trait MethodSpec {
    /// The kind of method, as search filters and listings name it.
    fn kind(&self) -> &'static str;

    /// The method and the numbers that set its size, for people: `lora r8 query,value`.
    fn summary(&self) -> String;

    /// Refuses a configuration that does not fit the backbone or itself.
    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError>;

    /// Its tensors on a backbone of this shape. The configuration is valid for the shape.
    fn slots(&self, shape: &BackboneShape) -> Vec<Slot>;
}

/// Refuses a number outside of `range`.
pub(super) fn within<T: Copy + PartialOrd + Display>(
    field: &'static str,
    value: T,
    range: impl RangeBounds<T>,
    expected: &str,
) -> Result<(), MethodError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(MethodError::Field { field, found: value.to_string(), expected: expected.to_owned() })
}

/// Refuses what is not a probability below one.
pub(super) fn dropout(field: &'static str, p: f64) -> Result<(), MethodError> {
    within(field, p, 0.0..1.0, "it must lie in 0 ≤ p < 1")
}

/// Refuses a rank that is zero or absurd.
pub(super) fn rank(field: &'static str, r: usize) -> Result<(), MethodError> {
    within(field, r, 1..=1 << 16, "the rank must lie between 1 and 65536")
}

/// Refuses a scaling that is not a number.
pub(super) fn finite(field: &'static str, value: f64) -> Result<(), MethodError> {
    within(field, value, f64::MIN..=f64::MAX, "it must be a finite number")
}

/// Refuses layers that the backbone does not have.
pub(super) fn layers<'a>(
    field: &'static str,
    layers: impl IntoIterator<Item = &'a usize>,
    shape: &BackboneShape,
) -> Result<(), MethodError> {
    match layers.into_iter().find(|&&layer| layer >= shape.num_layers) {
        Some(&layer) => Err(MethodError::Layer { field, layer, last: shape.num_layers - 1 }),
        None => Ok(()),
    }
}

/// Refuses no targets, targets that the backbone does not have, and those for which `fits` is false.
pub(super) fn targets(
    targets: &Targets,
    shape: &BackboneShape,
    fits: impl Fn(Module) -> bool,
    expected: &'static str,
) -> Result<(), MethodError> {
    let field = "targets";
    if targets.is_empty() {
        let expected = "it must name at least one module".to_owned();
        return Err(MethodError::Field { field, found: "empty".to_owned(), expected });
    }
    if let Some(layer) = targets.beyond(shape).and_then(Module::layer) {
        return Err(MethodError::Layer { field, layer, last: shape.num_layers - 1 });
    }
    if let Some(module) = targets.iter().find(|&module| !shape.may_have(module)) {
        let expected = "the base model's checkpoint brings no such classifier";
        return Err(MethodError::Module { field, module, expected });
    }
    match targets.iter().find(|&module| !fits(module)) {
        Some(module) => Err(MethodError::Module { field, module, expected }),
        None => Ok(()),
    }
}

/// Refuses a number that does not divide `whole` things of a layer.
pub(super) fn divides(
    field: &'static str,
    number: usize,
    whole: usize,
    things: &str,
) -> Result<(), MethodError> {
    if number > 0 && whole.is_multiple_of(number) {
        return Ok(());
    }
    let expected = format!("it must divide the {whole} {things} of a layer");
    Err(MethodError::Field { field, found: number.to_string(), expected })
}

/// Refuses modules that are no targets.
pub(super) fn among_targets(
    field: &'static str,
    modules: impl IntoIterator<Item = Module>,
    targets: &Targets,
) -> Result<(), MethodError> {
    match modules.into_iter().find(|&module| !targets.contains(module)) {
        Some(module) => {
            Err(MethodError::Module { field, module, expected: "it is for modules among `targets`" })
        }
        None => Ok(()),
    }
}

/// Refuses ranks for modules that are no targets, and ranks that can't be.
pub(super) fn rank_patterns(patterns: &[RankPattern], targets: &Targets) -> Result<(), MethodError> {
    patterns.iter().try_for_each(|pattern| rank("patterns.r", pattern.r))?;
    among_targets("patterns", patterns.iter().map(|pattern| pattern.module), targets)
}

/// Refuses patterns for modules that are no targets, and ranks that can't be.
pub(super) fn patterns(patterns: &[LoraPattern], targets: &Targets) -> Result<(), MethodError> {
    for pattern in patterns {
        rank("patterns.r", pattern.r)?;
        finite("patterns.lora_alpha", pattern.lora_alpha)?;
        if !targets.contains(pattern.module) {
            let expected = "a pattern is for a module among `targets`";
            return Err(MethodError::Module { field: "patterns", module: pattern.module, expected });
        }
    }
    Ok(())
}

/// Rank and factor `alpha / r` at `module`, where patterns stand above `r` and `alpha`.
pub(super) fn rank_and_scaling(
    patterns: &[LoraPattern],
    module: Module,
    r: usize,
    alpha: f64,
) -> (usize, f64) {
    let own = patterns.iter().find(|pattern| pattern.module == module);
    let (r, alpha) = own.map_or((r, alpha), |own| (own.r, own.lora_alpha));
    (r, alpha / r as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backbone::{BackboneShape, ClassifierShape},
        method::{Method, OftBlocks, OftConfig, ShiraConfig},
    };

    #[test]
    fn a_classifier_that_no_checkpoint_brings_is_no_target() {
        let bare = BackboneShape {
            hidden_size: 8,
            num_layers: 1,
            num_heads: 2,
            intermediate_size: 16,
            ..BackboneShape::EMPTY
        };
        let brought = BackboneShape {
            classifier: Some(ClassifierShape { inputs: 8, hidden: None, outputs: 3 }),
            ..bare
        };
        let targets: Targets = [Module::Classifier].into_iter().collect();
        let oft = Method::Oft(OftConfig {
            targets: targets.clone(),
            blocks: OftBlocks::Count(2),
            block_share: false,
            neumann_terms: None,
            eps: None,
        });
        let shira = Method::Shira(ShiraConfig { r: 1, targets });
        for method in [oft, shira] {
            let refusal = method.validate(&bare).expect_err("refused").to_string();
            assert!(refusal.contains("the base model's checkpoint brings no such classifier"), "{refusal}");
            assert_eq!(method.validate(&brought), Ok(()));
        }
    }
}
