//! Several methods in one adapter.
//!
//! Mix-and-Match (He et al. 2022): prefix tuning and a scaled parallel bottleneck.
//! UniPELT (Mao et al. 2022): gated prefix, bottleneck and LoRA.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Method, MethodError, MethodSpec};
use crate::{backbone::BackboneShape, layout::Slot};

/// The parts of a union.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnionConfig {
    /// Two or more methods that share no tensor; none is a union itself.
    #[schema(no_recursion)]
    pub parts: Vec<Method>,
}

impl MethodSpec for UnionConfig {
    fn kind(&self) -> &'static str {
        "union"
    }

    fn summary(&self) -> String {
        self.parts.iter().map(Method::summary).collect::<Vec<_>>().join(" + ")
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        let wrong = |found: String, expected: &str| {
            Err(MethodError::Field { field: "parts", found, expected: expected.to_owned() })
        };
        if !(1..=16).contains(&self.parts.len()) {
            return wrong(format!("a list of {}", self.parts.len()), "a union has 1 to 16 parts");
        }
        if self.parts.iter().any(|part| matches!(part, Method::Union(_))) {
            return wrong("a union".to_owned(), "the parts of a union are no unions");
        }
        let mut seen = BTreeSet::new();
        for part in &self.parts {
            part.validate(shape)?;
            for slot in part.slots(shape) {
                if !seen.insert(slot.name.clone()) {
                    return Err(MethodError::Overlap { slot: slot.name });
                }
            }
        }
        Ok(())
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        self.parts.iter().flat_map(|part| part.slots(shape)).collect()
    }
}
