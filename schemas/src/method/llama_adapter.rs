//! LLaMA-Adapter: adaption prompts with a gate that starts at zero.
//!
//! Zhang et al., "LLaMA-Adapter: Efficient Fine-tuning of Language Models with Zero-init
//! Attention" (2023). In each of the topmost layers every query attends to learned tokens
//! by a softmax of their own: `o + γ(g) · softmax(q K_Pᵀ / √d) V_P`, where the frozen
//! projections give `K_P` and `V_P`. Field names follow PEFT's `AdaptionPromptConfig`.
//!
//! With images (section 3.4) what another frozen backbone sees is projected and added to every prompt.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MethodError, MethodSpec, spec};
use crate::{
    backbone::BackboneShape,
    head::Pooling,
    layout::{Place, Slot},
    manifest::BaseModel,
};

/// Configuration of adaption prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LlamaAdapterConfig {
    /// Learned tokens per layer.
    pub adapter_len: usize,
    /// How many layers have them, counted from the last.
    pub adapter_layers: usize,
    /// What the learned gate is and does.
    #[serde(default)]
    pub gate: PromptGate,
    /// Where what the prompts contribute is added.
    #[serde(default)]
    pub join: PromptJoin,
    /// What is seen of an image is added to the prompts; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImagePrompt>,
}

/// How images join adaption prompts: `P + W f + b` for every prompt `P`, where `f` are an image's features.
///
/// The paper concatenates global features of several scales of CLIP; here they are the class token's last state beside
/// the mean of the patches'.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImagePrompt {
    /// The backbone that looks at images.
    pub base: BaseModel,
}

impl ImagePrompt {
    /// Length of the features.
    pub const fn features(&self) -> usize {
        Pooling::FirstAndMean.widths() * self.base.shape.hidden_size
    }
}

/// What the gate of an adaption prompt is: the two implementations differ, and files do not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PromptGate {
    /// One number per layer, `γ(g) = g`: PEFT.
    #[default]
    Scalar,
    /// One number per head, `γ(g) = tanh g`: the paper.
    HeadTanh,
}

/// Where what adaption prompts contribute is added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PromptJoin {
    /// Through the attention's output projection, its bias included once more: PEFT.
    #[default]
    Projected,
    /// To the heads' output, before the output projection: the paper. The same where the
    /// projection has no bias.
    Heads,
    /// To the attention's output as it is, past the output projection: PEFT on GPT-2.
    Output,
}

impl LlamaAdapterConfig {
    /// The layers that have prompts.
    pub const fn layers(&self, shape: &BackboneShape) -> std::ops::Range<usize> {
        shape.num_layers.saturating_sub(self.adapter_layers)..shape.num_layers
    }
}

impl MethodSpec for LlamaAdapterConfig {
    fn kind(&self) -> &'static str {
        "llama-adapter"
    }

    fn summary(&self) -> String {
        let image = self.image.as_ref().map(|image| format!(", with images of {}", image.base.id));
        let (prompts, layers) = (self.adapter_len, self.adapter_layers);
        format!("llama-adapter {prompts} in {layers} layers{}", image.unwrap_or_default())
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        spec::within("adapter_len", self.adapter_len, 1..=1 << 16, "it must lie between 1 and 65536")?;
        let layers = shape.num_layers;
        let expected = format!("the backbone has {layers} layers");
        spec::within("adapter_layers", self.adapter_layers, 1..=layers, &expected)?;
        if let Some(image) = &self.image {
            if !image.base.architecture.reads_images() {
                return Err(MethodError::Field {
                    field: "image",
                    found: image.base.architecture.to_string(),
                    expected: "the other backbone must be one that reads images".to_owned(),
                });
            }
            let most = 1 << 20;
            spec::within("image", image.features(), 1..=most, "its features must be few enough to project")?;
        }
        if self.join == PromptJoin::Output && shape.query_width() != shape.hidden_size {
            return Err(MethodError::Field {
                field: "join",
                found: "output".to_owned(),
                expected: format!(
                    "the heads are {} wide and the hidden state {}: only their projection can be added",
                    shape.query_width(),
                    shape.hidden_size
                ),
            });
        }
        Ok(())
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let gates = if self.gate == PromptGate::Scalar { 1 } else { shape.num_heads };
        let slots = self.layers(shape).flat_map(|layer| {
            let place = Place::SelfAttention { layer };
            [
                Slot::new(place, "adaption_prompt", &[self.adapter_len, shape.hidden_size]),
                Slot::new(place, "adaption_gate", &[gates]),
            ]
        });
        let image = self.image.iter().flat_map(|image| {
            let h = shape.hidden_size;
            [
                Slot::new(Place::Shared, "image.weight", &[h, image.features()]),
                Slot::new(Place::Shared, "image.bias", &[h]),
            ]
        });
        slots.chain(image).collect()
    }
}
