//! LoRA: `y = W x + b + s · B A dropout(x)`.
//!
//! Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021); rank
//! stabilisation from Kalajdzievski (2023); weight decomposition from Liu et al.,
//! "DoRA" (2024). Field names follow PEFT's `LoraConfig`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, fused, spec};
use crate::{
    backbone::{BackboneShape, LinearSite, Module, Targets},
    layout::{Place, Slot},
};

/// Configuration of a LoRA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoraConfig {
    /// Rank of the update.
    pub r: usize,
    /// Numerator of the scaling.
    pub lora_alpha: f64,
    /// Probability of dropping an element of the update's input in training.
    #[serde(default)]
    pub lora_dropout: f64,
    /// Scale by `alpha / √r` instead of `alpha / r`.
    #[serde(default)]
    pub use_rslora: bool,
    /// The modules that are updated.
    #[schema(value_type = Vec<String>)]
    pub targets: Targets,
    /// Modules with a rank or an alpha of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<LoraPattern>,
    /// Magnitude and direction of each row are learned apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dora: Option<Dora>,
    /// `B` has a bias.
    #[serde(default)]
    pub lora_bias: bool,
    /// A learned gate per example replaces the scaling (`adapters` only).
    #[serde(default)]
    pub use_gating: bool,
    /// How fresh factors are drawn.
    #[serde(default)]
    pub init: LoraInit,
    /// Which of queries, keys and values have factors of their own where one matrix projects
    /// all three (`adapters`); nothing for one pair of factors for the whole matrix (PEFT).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fused: Vec<LinearSite>,
    /// Several up-projections around a matrix of the task's own (`adapters` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_task: Option<MultiTaskLora>,
    /// The backbone's layers that stand in its stack here, as ranges `[first, end)` in their order; all of them once
    /// where there are none. `targets` counts what stands there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Vec<usize>>)]
    pub layer_replication: Vec<(usize, usize)>,
    /// Tokens that call the adapter: it acts from where they stand last in a text on, and nowhere in a text without
    /// them (Greenewald et al., "Activated LoRA", 2025). It acts everywhere where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invocation_tokens: Vec<u32>,
    /// Modules whose weight is stored with rows and columns exchanged (`[in, out]`, or a table's `[rows, h]`) and was
    /// updated as it is stored, so that PEFT's file has `Bᵀ` where it has `A` for others (`target_parameters`).
    #[serde(default, skip_serializing_if = "Targets::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub as_stored: Targets,
}

/// MTL-LoRA (Yang et al. 2024): `Σᵢ softmaxᵢ(w / τ) · Bᵢ Λ A x`, with `Λ = diag(λ)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MultiTaskLora {
    /// Number of up-projections `Bᵢ`.
    pub up_projections: usize,
    /// `τ`: the smaller, the more one of them counts.
    pub sharpness: f64,
}

/// A module with a rank or an alpha of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoraPattern {
    /// The module.
    #[schema(value_type = String)]
    pub module: Module,
    /// Its rank.
    pub r: usize,
    /// Its alpha.
    pub lora_alpha: f64,
}

/// How DoRA normalises the updated weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dora {
    /// `m / ‖W + s B A‖ · (W + s B A) x + b`: the paper, PEFT.
    Scaled,
    /// `m / ‖W + B A‖ · (W x + b + s B A x)`: `adapters` 1.2 and later.
    Unscaled,
}

/// How fresh factors are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoraInit {
    /// `A` Kaiming-uniform (a = √5), `B` zero: a fresh LoRA changes nothing.
    #[default]
    Lora,
    /// Both from N(0, 0.02²).
    Bert,
}

impl LoraConfig {
    /// Rank `r` with `alpha`, on queries and values of every layer.
    pub fn query_value(r: usize, lora_alpha: f64, num_layers: usize) -> Self {
        Self::on(r, lora_alpha, Targets::everywhere(&[LinearSite::Query, LinearSite::Value], num_layers))
    }

    /// Rank `r` with `alpha`, on these modules.
    pub fn on(r: usize, lora_alpha: f64, targets: Targets) -> Self {
        Self {
            r,
            lora_alpha,
            lora_dropout: 0.0,
            use_rslora: false,
            targets,
            patterns: Vec::new(),
            dora: None,
            lora_bias: false,
            use_gating: false,
            init: LoraInit::Lora,
            fused: Vec::new(),
            multi_task: None,
            layer_replication: Vec::new(),
            invocation_tokens: Vec::new(),
            as_stored: Targets::default(),
        }
    }

    /// The backbone's layers in the order in which `layer_replication` has them. The configuration is valid.
    pub fn replicated_layers(&self) -> Vec<usize> {
        self.layer_replication.iter().flat_map(|&(first, end)| first..end).collect()
    }

    /// A backbone of this shape with the layers that stand there here.
    fn stack(&self, shape: &BackboneShape) -> BackboneShape {
        let layers = self.layer_replication.iter().map(|(first, end)| end - first).sum();
        if self.layer_replication.is_empty() {
            return *shape;
        }
        BackboneShape { num_layers: layers, ..*shape }
    }

    fn validate_options(&self) -> Result<(), MethodError> {
        const MOST: usize = 1 << 10;
        let wrong = |field, found: String, expected: &str| {
            Err(MethodError::Field { field, found, expected: expected.to_owned() })
        };
        let mut layers = 0;
        for &(first, end) in &self.layer_replication {
            if first >= end || end > MOST || layers + end - first > MOST {
                let found = format!("[{first}, {end}]");
                return wrong("layer_replication", found, "a range has a first layer and an end behind it");
            }
            layers += end - first;
        }
        if !self.as_stored.is_empty() {
            return self.validate_as_stored();
        }
        if self.invocation_tokens.is_empty() {
            return Ok(());
        }
        let inside = self.targets.iter().all(|module| module.layer().is_some());
        if self.has_plain_factors() && inside && self.layer_replication.is_empty() {
            return Ok(());
        }
        let expected = "a LoRA that is called has no other option, and stands inside the blocks";
        wrong("invocation_tokens", format!("{:?}", self.invocation_tokens), expected)
    }

    /// Whether the update is `s · B A x` of one pair of factors, and nothing learned besides but perhaps a bias.
    fn has_plain_factors(&self) -> bool {
        self.dora.is_none() && !self.use_gating && self.multi_task.is_none() && self.fused.is_empty()
    }

    /// PEFT's `ParamWrapper` has plain factors alone.
    fn validate_as_stored(&self) -> Result<(), MethodError> {
        let plain = self.has_plain_factors() && !self.lora_bias && self.invocation_tokens.is_empty();
        if plain && self.as_stored.iter().all(|module| self.targets.contains(module)) {
            return Ok(());
        }
        Err(MethodError::Field {
            field: "as_stored",
            found: format!("{:?}", Vec::<String>::from(self.as_stored.clone())),
            expected: "they are among the targets, and have plain factors".to_owned(),
        })
    }

    /// The pairs of factors at a module: how far into its outputs each stands, and how many
    /// outputs it has.
    pub fn parts(&self, module: Module, shape: &BackboneShape) -> Vec<(usize, usize)> {
        fused::parts(&self.fused, module, shape)
    }

    /// Rank at `module`.
    pub fn rank(&self, module: Module) -> usize {
        self.pattern(module).map_or(self.r, |p| p.r)
    }

    /// Alpha at `module`.
    pub fn alpha(&self, module: Module) -> f64 {
        self.pattern(module).map_or(self.lora_alpha, |p| p.lora_alpha)
    }

    /// Factor `s` on the update of `module`.
    pub fn scaling(&self, module: Module) -> f64 {
        let r = self.rank(module) as f64;
        self.alpha(module) / if self.use_rslora { r.sqrt() } else { r }
    }

    fn pattern(&self, module: Module) -> Option<&LoraPattern> {
        self.patterns.iter().find(|p| p.module == module)
    }
}

impl MethodSpec for LoraConfig {
    fn kind(&self) -> &'static str {
        "lora"
    }

    fn summary(&self) -> String {
        let name = match (self.dora, self.multi_task) {
            (_, Some(_)) => "mtl-lora",
            (Some(_), None) => "dora",
            (None, None) => "lora",
        };
        format!("{name} r{} {}", self.r, self.targets.kinds())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::rank("r", self.r)?;
        spec::finite("lora_alpha", self.lora_alpha)?;
        spec::dropout("lora_dropout", self.lora_dropout)?;
        self.validate_options()?;
        let shape = &self.stack(shape);
        spec::targets(
            &self.targets,
            shape,
            Module::is_linear_or_table,
            "a LoRA updates linear layers and embedding tables",
        )?;
        fused::validate(&self.fused)?;
        let plain = self.dora.is_none() && !self.lora_bias && self.multi_task.is_none();
        if !self.fused.is_empty() && !plain {
            return Err(MethodError::Field {
                field: "fused",
                found: "used with DoRA, tasks or a bias".to_owned(),
                expected: "parts of a fused projection have plain factors, as in `adapters`".to_owned(),
            });
        }
        if let Some(multi_task) = self.multi_task {
            let found = multi_task.up_projections;
            spec::within("up_projections", found, 1..=1024, "it must lie between 1 and 1024")?;
            spec::within("sharpness", multi_task.sharpness, 1e-6..=1e6, "it must lie between 1e-6 and 1e6")?;
            if self.dora.is_some() || self.lora_bias || !self.patterns.is_empty() {
                return Err(MethodError::Field {
                    field: "multi_task",
                    found: "given beside `dora`, `lora_bias` or `patterns`".to_owned(),
                    expected: "it stands alone".to_owned(),
                });
            }
            let linear = |module: Module| module.is_linear();
            spec::targets(&self.targets, shape, linear, "an MTL-LoRA updates linear layers")?;
        }
        spec::patterns(&self.patterns, &self.targets)
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let mut slots = Vec::new();
        for module in self.targets.iter() {
            let ((inputs, outputs), r) = (shape.module_dims(module), self.rank(module));
            let mut push =
                |part: &str, dims: &[usize]| slots.push(Slot::new(Place::Module(module), part, dims));
            let parts = self.parts(module, shape);
            push("lora_a", &[parts.len() * r, inputs]);
            match self.multi_task {
                None => push("lora_b", &[parts.iter().map(|(_, outputs)| outputs).sum(), r]),
                Some(MultiTaskLora { up_projections, .. }) => {
                    push("lora_b", &[up_projections, outputs, r]);
                    push("task.values", &[r]);
                    push("task.weights", &[up_projections]);
                }
            }
            if self.lora_bias {
                push("lora_b_bias", &[outputs]);
            }
            if self.dora.is_some() {
                push("magnitude", &[outputs]);
            }
            if self.use_gating {
                push("gate.weight", &[parts.len(), inputs]);
                push("gate.bias", &[parts.len()]);
            }
        }
        slots
    }
}
