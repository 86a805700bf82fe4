//! The names of AdapterHub's `adapters` library.
//!
//! Bottlenecks live under `<sub-layer module>.adapters.<name>`, LoRAs under
//! `<linear module>.loras.<name>`, flexible heads under `heads.<name>.<index>`.

use super::{
    ADAPTERS_WEIGHTS, Format, HEAD_WEIGHTS, Inexpressible, LinearSite, Method, SubLayer, Subject, TensorSpec,
    WeightsFile, heads,
};
use crate::method::{BottleneckConfig, LoraConfig};

/// `adapters` saves from a model with heads: names start with the model's prefix.
pub const PREFIXED: bool = true;

pub(super) fn weights_files(subject: &Subject<'_>) -> Result<Vec<WeightsFile>, Inexpressible> {
    let mut files = Vec::new();
    let adapter = match subject.method {
        Method::Bottleneck(config) => Some(bottleneck(config, subject)),
        Method::Lora(config) => Some(lora(config, subject)?),
        Method::LastLayer => None,
    };
    files.extend(adapter.map(|tensors| WeightsFile { path: ADAPTERS_WEIGHTS, tensors }));
    if let Some(head) = subject.head {
        let tensors = heads::flexible_weights(head, subject)?;
        if !tensors.is_empty() {
            files.push(WeightsFile { path: HEAD_WEIGHTS, tensors });
        }
    }
    Ok(files)
}

fn prefix(subject: &Subject<'_>) -> String {
    if subject.prefixed { format!("{}.", subject.architecture.model_prefix()) } else { String::new() }
}

fn bottleneck(config: &BottleneckConfig, subject: &Subject<'_>) -> Vec<TensorSpec> {
    let (h, d) = (subject.shape.hidden_size, config.bottleneck_size(subject.shape.hidden_size));
    // With a norm in front, the library puts it at index 0 of the same sequence
    // and registers it a second time by name.
    let down = usize::from(config.ln_before);
    let mut parts: Vec<(String, &str, Vec<usize>, Option<&str>)> = vec![
        (format!("adapter_down.{down}.weight"), "down.weight", vec![d, h], None),
        (format!("adapter_down.{down}.bias"), "down.bias", vec![d], None),
        ("adapter_up.weight".into(), "up.weight", vec![h, d], None),
        ("adapter_up.bias".into(), "up.bias", vec![h], None),
    ];
    if config.ln_before {
        parts.push((
            "adapter_norm_before.weight".into(),
            "norm_before.weight",
            vec![h],
            Some("adapter_down.0.weight"),
        ));
        parts.push((
            "adapter_norm_before.bias".into(),
            "norm_before.bias",
            vec![h],
            Some("adapter_down.0.bias"),
        ));
    }
    if config.use_gating {
        parts.push(("gate.weight".into(), "gate.weight", vec![1, h], None));
        parts.push(("gate.bias".into(), "gate.bias", vec![1], None));
    }
    if config.ln_after {
        parts.push(("adapter_norm_after.weight".into(), "norm_after.weight", vec![h], None));
        parts.push(("adapter_norm_after.bias".into(), "norm_after.bias", vec![h], None));
    }
    let mut tensors = Vec::new();
    for layer in 0..subject.shape.num_layers {
        for sublayer in SubLayer::ALL.into_iter().filter(|&s| config.is_at(layer, s)) {
            let module = subject.architecture.sublayer_path(layer, sublayer);
            let at = format!("{}{module}.adapters.{}", prefix(subject), subject.name);
            tensors.extend(parts.iter().map(|(disk, slot, shape, alias)| TensorSpec {
                disk: format!("{at}.{disk}"),
                slot: format!("layers.{layer}.{}.{slot}", sublayer.as_str()),
                shape: shape.clone(),
                aliases: alias.iter().map(|a| format!("{at}.{a}")).collect(),
            }));
        }
    }
    tensors
}

fn lora(config: &LoraConfig, subject: &Subject<'_>) -> Result<Vec<TensorSpec>, Inexpressible> {
    let refuse = |what: &str| Err(Inexpressible { format: Format::Adapters, what: what.to_owned() });
    if config.targets.contains(&LinearSite::AttentionOutput) {
        return refuse("a LoRA on the attention output");
    }
    if config.use_rslora {
        return refuse("a rank-stabilised LoRA");
    }
    let mut tensors = Vec::new();
    for layer in 0..subject.shape.num_layers {
        for site in LinearSite::ALL.into_iter().filter(|&s| config.is_at(layer, s)) {
            let module = subject.architecture.linear_path(layer, site);
            let (inputs, outputs) = subject.shape.linear_dims(site);
            let at = format!("{}{module}.loras.{}", prefix(subject), subject.name);
            for (disk, slot, shape) in
                [("lora_A", "lora_a", vec![config.r, inputs]), ("lora_B", "lora_b", vec![outputs, config.r])]
            {
                tensors.push(TensorSpec {
                    disk: format!("{at}.{disk}"),
                    slot: format!("layers.{layer}.{site}.{slot}"),
                    shape,
                    aliases: Vec::new(),
                });
            }
        }
    }
    Ok(tensors)
}
