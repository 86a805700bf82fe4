//! A method in some of its layers only.

use std::collections::BTreeSet;

use super::{BottleneckConfig, Ia3Config, Method, PrefixConfig, UnionConfig};
use crate::backbone::{BackboneShape, Targets};

impl Method {
    /// The same in no other layers than these; `None` for a method that can't be left out of a layer.
    #[must_use]
    pub fn in_layers(mut self, layers: &BTreeSet<usize>, shape: &BackboneShape) -> Option<Self> {
        let few = |targets: &Targets| targets.among(layers);
        match &mut self {
            Self::Bottleneck(BottleneckConfig { leave_out, .. })
            | Self::Prefix(PrefixConfig { leave_out, .. }) => {
                let others = (0..shape.num_layers).filter(|layer| !layers.contains(layer));
                let all: BTreeSet<usize> = others.chain(leave_out.iter().copied()).collect();
                *leave_out = all.into_iter().collect();
            }
            Self::Lora(config) => config.targets = few(&config.targets),
            Self::AdaLora(config) => config.targets = few(&config.targets),
            Self::Loha(config) => config.targets = few(&config.targets),
            Self::Lokr(config) => config.targets = few(&config.targets),
            Self::Oft(config) => config.targets = few(&config.targets),
            Self::Boft(config) => config.targets = few(&config.targets),
            Self::Vera(config) => config.targets = few(&config.targets),
            Self::Beft(config) => config.targets = few(&config.targets),
            Self::C3a(config) => {
                config.targets = few(&config.targets);
                config.patterns.retain(|pattern| config.targets.contains(pattern.module));
            }
            Self::Delora(config) => {
                config.targets = few(&config.targets);
                config.patterns.retain(|pattern| config.targets.contains(pattern.module));
            }
            Self::Gralora(config) => config.targets = few(&config.targets),
            Self::Hira(config) => {
                config.targets = few(&config.targets);
                config.patterns.retain(|pattern| config.targets.contains(pattern.module));
            }
            Self::Hra(config) => config.targets = few(&config.targets),
            Self::Miss(config) => config.targets = few(&config.targets),
            Self::RandLora(config) => config.targets = few(&config.targets),
            Self::Road(config) => config.targets = few(&config.targets),
            Self::Shira(config) => config.targets = few(&config.targets),
            Self::VbLora(config) => config.targets = few(&config.targets),
            Self::Glora(config) => {
                (config.targets, config.without_bias) = (few(&config.targets), few(&config.without_bias));
            }
            Self::Deft(config) => config.targets = few(&config.targets),
            Self::Ia3(Ia3Config { outputs, inputs, .. }) => (*outputs, *inputs) = (few(outputs), few(inputs)),
            Self::Reft(config) => config.layers = Some(chosen(config.layers.as_deref(), layers)),
            Self::Hadamard(config) => config.layers = Some(chosen(config.layers.as_deref(), layers)),
            Self::Union(UnionConfig { parts }) => {
                let own = std::mem::take(parts).into_iter().map(|part| part.in_layers(layers, shape));
                *parts = own.collect::<Option<Vec<_>>>()?;
            }
            Self::Prompt(_)
            | Self::LlamaAdapter(_)
            | Self::Tokens(_)
            | Self::Replace(_)
            | Self::Composition(_)
            | Self::LastLayer => return None,
        }
        Some(self)
    }
}

/// Those of `layers` that are among `own`, which are all where nobody says.
fn chosen(own: Option<&[usize]>, layers: &BTreeSet<usize>) -> Vec<usize> {
    layers.iter().copied().filter(|layer| own.is_none_or(|own| own.contains(layer))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{LoraConfig, PromptConfig, PromptPlace, ReftConfig};

    const SHAPE: BackboneShape = BackboneShape {
        hidden_size: 768,
        num_layers: 12,
        num_heads: 12,
        intermediate_size: 3072,
        vocab_size: 30522,
        max_positions: 512,
        token_types: 2,
        ..BackboneShape::EMPTY
    };

    fn places(method: Method) -> Vec<Option<usize>> {
        let method = method.in_layers(&BTreeSet::from([3, 5]), &SHAPE).expect("it has layers");
        method.validate(&SHAPE).expect("valid");
        let slots = method.parts().iter().flat_map(|part| part.slots(&SHAPE));
        slots.map(|slot| slot.place.layer()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    #[test]
    fn a_method_stands_where_it_is_told() {
        let upper = vec![Some(3), Some(5)];
        let bottleneck = Method::Bottleneck(BottleneckConfig::houlsby(16.0));
        assert_eq!(places(bottleneck.clone()), upper);
        let lora = Method::Lora(LoraConfig::query_value(8, 16.0, 12));
        assert_eq!(places(lora.clone()), upper);
        assert_eq!(
            places(Method::Reft(ReftConfig { layers: Some(vec![1, 5]), ..ReftConfig::loreft(1) })),
            [Some(5)]
        );
        assert_eq!(places(Method::Union(UnionConfig { parts: vec![bottleneck, lora] })), upper);
        let prompt = Method::Prompt(PromptConfig::new(10, PromptPlace::AfterEmbeddings));
        assert_eq!(prompt.in_layers(&BTreeSet::from([3]), &SHAPE), None);
    }
}
