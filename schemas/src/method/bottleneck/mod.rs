//! Bottleneck adapters: down-projection, non-linearity, up-projection, residual.
//!
//! Houlsby et al., "Parameter-Efficient Transfer Learning for NLP" (2019) puts one
//! after both sub-layers; Pfeiffer et al., "AdapterFusion" (2021) one after the
//! feed-forward network only; He et al., "Towards a Unified View of
//! Parameter-Efficient Transfer Learning" (2022) one beside it; Steitz & Roth,
//! "Adapters Strike Back" (2024) scales its channels. The fields are those of
//! `BnConfig` in `adapters`.

mod fields;
mod hooked;
mod phm;
mod presets;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use fields::{InitScheme, InnerResidual, Invertible, ReductionFactor, Scaling};
pub use hooked::{Hooked, HookedAt, HookedNorm, HookedResidual};
pub use phm::{PhmConfig, PhmInit};

use super::{Activation, MethodError, MethodSpec, spec};
use crate::{
    backbone::{BackboneShape, SubLayer},
    layout::{Place, Slot},
};

/// Configuration of a bottleneck adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of `BnConfig`, as `adapters` writes them")]
pub struct BottleneckConfig {
    /// After attention.
    pub mh_adapter: bool,
    /// After the feed-forward network.
    pub output_adapter: bool,
    /// After the attention to an encoder, in the blocks of a decoder that have one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cross_adapter: bool,
    /// Hidden size divided by bottleneck size: a number, or by layer with a `default`.
    #[schema(value_type = serde_json::Value)]
    pub reduction_factor: ReductionFactor,
    /// Between the two projections.
    pub non_linearity: Activation,
    /// The block's norm is applied to the sum with the residual before the adapter.
    #[serde(default)]
    pub original_ln_before: bool,
    /// The block's norm is applied to the sum with the residual after the adapter.
    #[serde(default = "yes")]
    pub original_ln_after: bool,
    /// The adapter has a norm of its own in front.
    #[serde(default)]
    pub ln_before: bool,
    /// The adapter has a norm of its own at its end.
    #[serde(default)]
    pub ln_after: bool,
    /// What the adapter's residual connection carries: `true`, `false` or `"post_add"`.
    #[serde(default = "sublayer_output")]
    #[schema(value_type = serde_json::Value)]
    pub residual_before_ln: InnerResidual,
    /// The adapter's residual is added before `ln_after` rather than after it.
    #[serde(default)]
    pub adapter_residual_before_ln: bool,
    /// How fresh weights are drawn.
    #[serde(default = "bert_init")]
    pub init_weights: InitScheme,
    /// The adapter reads the sub-layer's input and stands beside it.
    #[serde(default)]
    pub is_parallel: bool,
    /// Factor on the up-projection's output: a number, `"learned"` or `"channel"`.
    #[serde(default = "one")]
    #[schema(value_type = serde_json::Value)]
    pub scaling: Scaling,
    /// A learned gate per example scales the adapter's output.
    #[serde(default)]
    pub use_gating: bool,
    /// Probability of dropping an element of the up-projection's output in training.
    #[serde(default)]
    pub dropout: f64,
    /// Probability of dropping the whole up-projection of an example in training.
    #[serde(default)]
    pub stochastic_depth: f64,
    /// Layers without an adapter.
    #[serde(default)]
    pub leave_out: Vec<usize>,
    /// An invertible adapter behind the embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invertible: Option<Invertible>,
    /// Hypercomplex projections (Compacter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phm: Option<PhmConfig>,
    /// The adapters hang on the projections at the sub-layers' ends, and not behind the sub-layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooked: Option<Hooked>,
}

const fn yes() -> bool {
    true
}
const fn one() -> Scaling {
    Scaling::Fixed(1.0)
}
const fn sublayer_output() -> InnerResidual {
    InnerResidual::SubLayerOutput
}
const fn bert_init() -> InitScheme {
    InitScheme::Bert
}

impl BottleneckConfig {
    /// Width of the bottleneck in a layer: `⌊hidden / reduction factor⌋`, at least one.
    /// The configuration is valid, so the layer has a reduction factor.
    pub fn bottleneck_size(&self, layer: usize, hidden_size: usize) -> usize {
        let factor = self.reduction_factor.at(layer).unwrap_or(1.0);
        ((hidden_size as f64 / factor).floor() as usize).max(1)
    }

    /// Whether there are adapters after this kind of sub-layer.
    pub const fn has(&self, sublayer: SubLayer) -> bool {
        match sublayer {
            SubLayer::Attention => self.mh_adapter,
            SubLayer::Ffn => self.output_adapter,
            SubLayer::CrossAttention => self.cross_adapter,
        }
    }

    /// Whether there is an adapter after this sub-layer of this layer.
    pub fn is_at(&self, layer: usize, sublayer: SubLayer) -> bool {
        self.has(sublayer) && !self.leave_out.contains(&layer)
    }

    /// Every place that has an adapter, in the order of computation.
    pub fn places(&self, shape: &BackboneShape) -> Vec<(usize, SubLayer)> {
        (0..shape.num_layers)
            .flat_map(|layer| shape.sublayers(layer).iter().map(move |&sublayer| (layer, sublayer)))
            .filter(|&(layer, sublayer)| self.is_at(layer, sublayer))
            .collect()
    }

    /// Widths of the halves that the invertible adapter couples, `(first, second)`.
    pub const fn halves(hidden_size: usize) -> (usize, usize) {
        (hidden_size / 2, hidden_size - hidden_size / 2)
    }

    fn place_slots(&self, layer: usize, sublayer: SubLayer, h: usize) -> Vec<Slot> {
        let place = Place::SubLayer { layer, sublayer };
        let d = self.bottleneck_size(layer, h);
        let slot = |part: &str, dims: &[usize]| Slot::new(place, part, dims);
        let mut slots = Vec::new();
        if self.ln_before {
            slots.extend([slot("norm_before.weight", &[h]), slot("norm_before.bias", &[h])]);
        }
        match &self.phm {
            None => slots.extend([
                slot("down.weight", &[d, h]),
                slot("down.bias", &[d]),
                slot("up.weight", &[h, d]),
                slot("up.bias", &[h]),
            ]),
            Some(phm) => {
                slots.extend(phm.slots(place, "down", h, d));
                slots.extend(phm.slots(place, "up", d, h));
            }
        }
        if self.non_linearity == Activation::Prelu {
            slots.push(slot("activation.weight", &[1]));
        }
        match self.scaling {
            Scaling::Fixed(_) => {}
            Scaling::Learned => slots.push(slot("scaling", &[1])),
            Scaling::Channel => slots.push(slot("scaling", &[h])),
        }
        if self.use_gating {
            slots.extend([slot("gate.weight", &[1, h]), slot("gate.bias", &[1])]);
        }
        if self.ln_after {
            slots.extend([slot("norm_after.weight", &[h]), slot("norm_after.bias", &[h])]);
        }
        slots
    }

    /// Two coupling networks: `F` from the second half to the first, `G` back. Each has the weight of its own function.
    fn invertible_slots(&self, invertible: Invertible, h: usize) -> Vec<Slot> {
        let (first, second) = Self::halves(h);
        let mut slots = Vec::new();
        for (name, inputs, outputs) in [("f", second, first), ("g", first, second)] {
            let inner = (inputs as f64 / invertible.reduction_factor).floor() as usize;
            let mut push = |part: &str, dims: &[usize]| {
                slots.push(Slot::new(Place::Shared, &format!("invertible.{name}.{part}"), dims));
            };
            push("down.weight", &[inner, inputs]);
            push("down.bias", &[inner]);
            if self.non_linearity == Activation::Prelu {
                push("activation.weight", &[1]);
            }
            push("up.weight", &[outputs, inner]);
            push("up.bias", &[outputs]);
        }
        slots
    }

    fn validate_factors(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        let expected = "it must be a number from 0.01 to 65536";
        for layer in 0..shape.num_layers {
            match self.reduction_factor.at(layer) {
                Some(factor) => spec::within("reduction_factor", factor, 0.01..=65536.0, expected)?,
                None => {
                    return Err(MethodError::Field {
                        field: "reduction_factor",
                        found: format!("neither given for layer {layer} nor by default"),
                        expected: "name every layer or a `default`".to_owned(),
                    });
                }
            }
        }
        match self.invertible {
            None => Ok(()),
            Some(Invertible { reduction_factor }) => {
                let most = (shape.table_width() / 2).max(1) as f64;
                let expected = format!("it must be a number from 0.01 to {most}");
                spec::within("invertible.reduction_factor", reduction_factor, 0.01..=most, &expected)
            }
        }
    }

    fn validate_phm(&self, phm: &PhmConfig, shape: &BackboneShape) -> Result<(), MethodError> {
        let n = phm.phm_dim;
        spec::within("phm_dim", n, 1..=256, "it must lie between 1 and 256")?;
        spec::within("phm_rank", phm.phm_rank, 1..=4096, "it must lie between 1 and 4096")?;
        spec::finite("phm_init_range", phm.phm_init_range)?;
        for (layer, _) in self.places(shape) {
            let d = self.bottleneck_size(layer, shape.hidden_size);
            for (what, width) in [("hidden size", shape.hidden_size), ("bottleneck", d)] {
                if !width.is_multiple_of(n) {
                    return Err(MethodError::Field {
                        field: "phm_dim",
                        found: n.to_string(),
                        expected: format!("it must divide the {what} {width}"),
                    });
                }
            }
        }
        Ok(())
    }
}

impl MethodSpec for BottleneckConfig {
    fn kind(&self) -> &'static str {
        "bottleneck"
    }

    fn summary(&self) -> String {
        let name = match (&self.phm, self.is_parallel, self.mh_adapter, self.output_adapter) {
            (Some(_), _, true, true) => "compacter",
            (Some(_), ..) => "compacter++",
            (None, true, ..) => "parallel",
            (None, false, true, true) => "houlsby",
            (None, false, false, _) => "pfeiffer",
            (None, false, true, false) => "bottleneck after attention",
        };
        let invertible = if self.invertible.is_some() { "+inv" } else { "" };
        let factor = match &self.reduction_factor {
            ReductionFactor::Everywhere(factor) => format!("rf{factor}"),
            ReductionFactor::PerLayer(_) => "rf by layer".to_owned(),
        };
        format!("{name}{invertible} {factor} {}", self.non_linearity)
    }

    fn validate(&self, shape: &BackboneShape) -> Result<(), MethodError> {
        self.validate_factors(shape)?;
        spec::dropout("dropout", self.dropout)?;
        spec::dropout("stochastic_depth", self.stochastic_depth)?;
        if let Scaling::Fixed(factor) = self.scaling {
            spec::finite("scaling", factor)?;
        }
        let is_somewhere = |layer| shape.sublayers(layer).iter().any(|&s| self.has(s));
        if !(0..shape.num_layers).any(is_somewhere) {
            return Err(MethodError::Field {
                field: "output_adapter",
                found: "false, as `mh_adapter` is".to_owned(),
                expected: "the adapter would be nowhere".to_owned(),
            });
        }
        if let Some(hooked) = &self.hooked {
            hooked.validate(self)?;
        }
        self.phm.as_ref().map_or(Ok(()), |phm| self.validate_phm(phm, shape))
    }

    fn slots(&self, shape: &BackboneShape) -> Vec<Slot> {
        let h = shape.hidden_size;
        let mut slots = Vec::new();
        if let Some(invertible) = self.invertible {
            slots.extend(self.invertible_slots(invertible, shape.table_width()));
        }
        if let Some(phm) = &self.phm {
            slots.extend(phm.shared_slots(h, self.bottleneck_size(0, h)));
        }
        for (layer, sublayer) in self.places(shape) {
            slots.extend(self.place_slots(layer, sublayer, h));
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottleneck_is_rounded_down_and_never_empty() {
        assert_eq!(BottleneckConfig::pfeiffer(16.0).bottleneck_size(0, 384), 24);
        assert_eq!(BottleneckConfig::pfeiffer(7.0).bottleneck_size(0, 384), 54);
        assert_eq!(BottleneckConfig::pfeiffer(1000.0).bottleneck_size(0, 384), 1);
    }
}
