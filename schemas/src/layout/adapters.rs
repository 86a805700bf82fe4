//! The names of AdapterHub's `adapters` library.
//!
//! Bottlenecks live under `<sub-layer module>.adapters.<name>`, everything at a
//! linear layer under `<linear module>.loras.<name>`, flexible heads under
//! `heads.<name>.<index>`.

use super::{
    ADAPTERS_WEIGHTS, FUSION_WEIGHTS, Format, HEAD_WEIGHTS, Inexpressible, Method, Place, Slot, Subject,
    TensorSpec, WeightsFile, heads,
};
use crate::{
    backbone::{Architecture, LinearSite, Module, SubLayer, Variant},
    method::{BottleneckConfig, Dora, PrefixGroup, PromptPlace},
};

/// `adapters` saves from a model with heads: names start with the model's prefix.
pub const PREFIXED: bool = true;

pub(super) fn weights_files(subject: &Subject<'_>) -> Result<Vec<WeightsFile>, Inexpressible> {
    let mut files = Vec::new();
    if let Method::Composition(config) = subject.method {
        files.extend(config.fusion.as_ref().map(|fusion| {
            let slots = fusion.config.slots(&fusion.places(subject.shape), subject.shape);
            let architecture = (subject.architecture, subject.shape.variant());
            fusion_file(&slots, architecture, &fusion.name, (subject.prefixed, false))
        }));
    } else if *subject.method != Method::LastLayer {
        let mut tensors = Vec::new();
        for part in subject.method.parts() {
            expressible(part, subject.architecture)?;
            for slot in part.slots(subject.shape) {
                let orthogonal = matches!(part, Method::Reft(config) if config.orthogonality);
                let stored = if orthogonal { parametrised(slot, subject) } else { vec![slot] };
                tensors.extend(stored.iter().map(|slot| spec(part, slot, subject)));
            }
        }
        files.push(WeightsFile { path: ADAPTERS_WEIGHTS, tensors });
    }
    if let Some(head) = subject.head {
        let tensors = heads::flexible_weights(head, subject)?;
        if !tensors.is_empty() {
            files.push(WeightsFile { path: HEAD_WEIGHTS, tensors });
        }
    }
    Ok(files)
}

/// An orthonormal projection as PyTorch's parametrisation stores it: the parameters of the
/// rotation `[r, h]`, and what it rotates, `[h, h]`.
fn parametrised(slot: Slot, subject: &Subject<'_>) -> Vec<Slot> {
    if !slot.part.ends_with(".projection") {
        return vec![slot];
    }
    let h = subject.shape.hidden_size;
    let original = Slot::new(slot.place, &format!("{}.original", slot.part), &slot.shape);
    vec![original, Slot::new(slot.place, &format!("{}.base", slot.part), &[h, h])]
}

/// The module that holds what the library has at a sub-layer.
fn module_of(
    (layer, sublayer): (usize, SubLayer),
    (architecture, variant): (Architecture, Variant),
    is_hooked: bool,
) -> String {
    let path = if is_hooked { Architecture::hooked_path } else { Architecture::sublayer_path };
    path(architecture, layer, sublayer, variant)
}

/// The weights file of the fusion `name` with these slots; `is_hooked` where its members hang on projections.
pub fn fusion_file(
    slots: &[Slot],
    architecture: (Architecture, Variant),
    name: &str,
    (prefixed, is_hooked): (bool, bool),
) -> WeightsFile {
    let (family, variant) = architecture;
    let prefix = if prefixed { format!("{}.", family.model_prefix(variant)) } else { String::new() };
    let spec = |slot: &Slot| {
        let at = match slot.place {
            Place::SubLayer { layer, sublayer } => module_of((layer, sublayer), architecture, is_hooked),
            other => other.to_string(),
        };
        let part = slot.part.trim_start_matches("fusion.");
        TensorSpec::new(format!("{prefix}{at}.adapter_fusion_layer.{name}.{part}"), slot)
    };
    WeightsFile { path: FUSION_WEIGHTS, tensors: slots.iter().map(spec).collect() }
}

/// Refuses what the library has no words for.
fn expressible(method: &Method, architecture: Architecture) -> Result<(), Inexpressible> {
    let refuse = |what: &str| Err(Inexpressible { format: Format::Adapters, what: what.to_owned() });
    let is_own_site = |module: Module| {
        matches!(module, Module::Linear { site, .. }
            if !matches!(site, LinearSite::AttentionOutput | LinearSite::FfnGate))
    };
    let is_fused = |module| matches!(module, Module::Linear { site: LinearSite::QueryKeyValue, .. });
    match method {
        Method::Bottleneck(_) if super::stands_elsewhere(method, architecture) => {
            let what = format!(
                "a bottleneck behind a sub-layer of {architecture}: it hangs them on the projections"
            );
            refuse(&what)
        }
        Method::Lora(config) => {
            if let Some(module) = config.targets.iter().find(|&m| !is_own_site(m)) {
                return refuse(&format!("a LoRA on `{module}`"));
            }
            if config.fused.is_empty() && config.targets.iter().any(is_fused) {
                return refuse("one LoRA for queries, keys and values together");
            }
            if config.use_rslora {
                return refuse("a rank-stabilised LoRA");
            }
            if config.lora_bias || !config.patterns.is_empty() {
                return refuse("a LoRA with a bias or with several ranks");
            }
            if !config.layer_replication.is_empty() {
                return refuse("a LoRA on replicated layers");
            }
            if !config.invocation_tokens.is_empty() {
                return refuse("a LoRA that tokens call");
            }
            if config.dora == Some(Dora::Scaled) {
                return refuse("DoRA as in the paper (the library normalises another way)");
            }
            Ok(())
        }
        Method::Ia3(config) => match config.outputs.iter().find(|&m| !is_own_site(m)) {
            Some(module) => refuse(&format!("(IA)³ on `{module}`")),
            None if !config.inputs.is_empty() => refuse("(IA)³ on the input of a layer"),
            None if config.fused.is_empty() && config.outputs.iter().any(is_fused) => {
                refuse("one (IA)³ for queries, keys and values together")
            }
            None => Ok(()),
        },
        Method::Prompt(config) if config.place == PromptPlace::Words => {
            refuse("a prompt in front of the word embeddings")
        }
        Method::Vera(config) if config.scaling == crate::method::VeraScaling::Diagonal => {
            refuse("VeRA with vectors for diagonals")
        }
        Method::Prompt(_) if !architecture.has_library_prompts() => {
            refuse(&format!("learned tokens in front of {architecture}"))
        }
        Method::Prefix(config) if config.shifts_positions => refuse("a prefix that shifts positions"),
        Method::Prefix(_) if !architecture.has_library_class() => {
            refuse(&format!("prefixes of {architecture}"))
        }
        Method::AdaLora(_)
        | Method::Loha(_)
        | Method::Lokr(_)
        | Method::Oft(_)
        | Method::Boft(_)
        | Method::Beft(_)
        | Method::C3a(_)
        | Method::Delora(_)
        | Method::Gralora(_)
        | Method::Hira(_)
        | Method::Hra(_)
        | Method::Miss(_)
        | Method::RandLora(_)
        | Method::Road(_)
        | Method::Shira(_)
        | Method::VbLora(_)
        | Method::Glora(_)
        | Method::Deft(_)
        | Method::Tokens(_) => refuse(&format!("the method `{}`", method.kind())),
        Method::LlamaAdapter(_) => refuse("adaption prompts"),
        Method::Replace(_) => refuse("trained copies of the backbone's own tensors"),
        Method::Hadamard(_) => refuse("a Hadamard adapter; neither library has it"),
        _ => Ok(()),
    }
}

fn spec(method: &Method, slot: &Slot, subject: &Subject<'_>) -> TensorSpec {
    let (architecture, variant) = (subject.architecture, subject.shape.variant());
    let prefix =
        if subject.prefixed { format!("{}.", architecture.model_prefix(variant)) } else { String::new() };
    let name = subject.name;
    let plain = |path: String| TensorSpec::new(format!("{prefix}{path}"), slot);
    match slot.place {
        Place::SubLayer { layer, sublayer } => {
            let is_hooked = matches!(method, Method::Bottleneck(config) if config.hooked.is_some());
            let at = format!(
                "{}.adapters.{name}",
                module_of((layer, sublayer), (architecture, variant), is_hooked)
            );
            let (disk, alias) = bottleneck_part(method, &slot.part);
            let alias = alias.map(|alias| format!("{prefix}{at}.{alias}"));
            plain(format!("{at}.{disk}")).also(alias)
        }
        Place::Module(module) => {
            let at = format!("{}.loras.{name}", architecture.module_path(module, variant));
            let spec = plain(format!("{at}.{}", linear_part(&slot.part)));
            match slot.part.as_str() {
                "ia3" | "magnitude" => spec.shaped(&[slot.len(), 1]),
                _ => spec,
            }
        }
        Place::SelfAttention { layer } | Place::CrossAttention { layer } => {
            let cross = architecture.cross_attention_path(layer, variant);
            let own = || architecture.attention_path(layer, variant);
            let at = match slot.place {
                Place::CrossAttention { .. } => cross.unwrap_or_else(own),
                _ => own(),
            };
            let part = slot.part.trim_start_matches("gate.");
            plain(format!("{at}.prefix_tuning.prefix_gates.{name}.{part}"))
        }
        Place::Block { layer } => {
            let at = format!("{}.reft_layer.refts.{name}", architecture.block_path(layer, variant));
            plain(format!("{at}.{}", reft_part(&slot.part)))
        }
        Place::Shared | Place::Head => shared(slot, subject, &prefix),
    }
}

/// The path below `adapters.<name>`, and a second one under which the same tensor is registered.
fn bottleneck_part(method: &Method, part: &str) -> (String, Option<String>) {
    let Method::Bottleneck(config) = method else { return (part.to_owned(), None) };
    // With a norm in front, the library puts it at index 0 of the same sequence
    // and registers it a second time by name.
    let down = format!("adapter_down.{}", usize::from(config.ln_before));
    match part.split_once('.') {
        Some(("norm_before", rest)) => {
            (format!("adapter_norm_before.{rest}"), Some(format!("adapter_down.0.{rest}")))
        }
        // The function is registered by name, and again behind the down-projection.
        Some(("activation", rest)) => {
            let again = format!("adapter_down.{}.f.{rest}", usize::from(config.ln_before) + 1);
            (format!("non_linearity.f.{rest}"), Some(again))
        }
        Some(("norm_after", rest)) => (format!("adapter_norm_after.{rest}"), None),
        Some(("down", rest)) => (format!("{down}.{}", projection_part(config, rest)), None),
        Some(("up", rest)) => (format!("adapter_up.{}", projection_part(config, rest)), None),
        _ => (part.to_owned(), None),
    }
}

fn projection_part<'a>(config: &BottleneckConfig, part: &'a str) -> &'a str {
    match (config.phm.is_some(), part) {
        (true, "bias") => "b",
        (true, "w") => "W",
        (true, "w_left") => "W_left",
        (true, "w_right") => "W_right",
        (true, "rule") => "phm_rule",
        (true, "rule_left") => "phm_rule_left",
        (true, "rule_right") => "phm_rule_right",
        _ => part,
    }
}

fn linear_part(part: &str) -> &str {
    match part {
        "lora_a" => "lora_A",
        "lora_b" | "ia3" => "lora_B",
        "lambda_d" => "vera_D",
        "lambda_b" => "vera_B",
        "magnitude" => "m.weight",
        "task.values" => "task_specific.values",
        "task.weights" => "weights",
        other => other,
    }
}

/// `unit0.source.weight` to `units.0.learned_source.weight`.
fn reft_part(part: &str) -> String {
    let Some((unit, rest)) = part.trim_start_matches("unit").split_once('.') else { return part.to_owned() };
    let rest = match rest {
        "projection" => "projection.weight".to_owned(),
        "projection.original" => "projection.parametrizations.weight.original".to_owned(),
        "projection.base" => "projection.parametrizations.weight.0.base".to_owned(),
        source => format!("learned_{source}"),
    };
    format!("units.{unit}.{rest}")
}

/// Whether the backbone is an encoder that stands under its own name in the model.
const fn is_part(subject: &Subject<'_>) -> bool {
    subject.architecture.has_encoder_alone() && subject.shape.decoder_layers.is_none()
}

fn shared(slot: &Slot, subject: &Subject<'_>, prefix: &str) -> TensorSpec {
    let (name, variant) = (subject.name, subject.shape.variant());
    let plain = |path: String| TensorSpec::new(format!("{prefix}{path}"), slot);
    let parameters = |part: &str| plain(format!("shared_parameters.{name}.{part}"));
    match slot.part.as_str() {
        "prompt" => plain(format!("prompt_tuning.prompt_tunings.{name}.prompt_embedding.weight")),
        "vera_a" => parameters("lora_A"),
        "vera_b" => parameters("lora_B"),
        part if PrefixGroup::ALL.iter().any(|group| part.starts_with(group.as_str())) => {
            let (group, part) = part.split_once('.').unwrap_or((part, ""));
            let location = match group {
                "prefix" => subject.architecture.prefix_location(variant),
                other => other,
            };
            let part = match part {
                "embedding" => "wte.weight",
                "down.weight" => "control_trans.0.weight",
                "down.bias" => "control_trans.0.bias",
                "up.weight" => "control_trans.2.weight",
                "up.bias" => "control_trans.2.bias",
                _ => "control_trans",
            };
            let path = format!("prefix_tunings.{name}.{location}.{part}");
            // Every attention registers the whole pool again.
            let own = |layer| Some(subject.architecture.attention_path(layer, variant));
            let cross = |layer| subject.architecture.cross_attention_path(layer, variant);
            let layers = 0..subject.shape.num_layers;
            let paths = layers.flat_map(|layer| [own(layer), cross(layer)]).flatten();
            let aliases = paths.map(|at| format!("{prefix}{at}.prefix_tuning.pool.{path}"));
            let pool = format!("prefix_tuning.{path}");
            // The pool belongs to the whole model, of which Whisper's encoder alone is a part.
            let is_outside = is_part(subject);
            let spec = if is_outside { TensorSpec::new(pool, slot) } else { plain(pool) }.also(aliases);
            if slot.part.contains('.') { spec } else { spec.shaped(&[slot.len()]) }
        }
        part => match part.split_once('.') {
            Some(("invertible", rest)) => {
                let rest = rest
                    .replacen("f.", "F.", 1)
                    .replacen("g.", "G.", 1)
                    .replacen("down.", "0.", 1)
                    .replacen("activation.", "1.f.", 1)
                    .replacen("up.", "2.", 1);
                // Of an encoder with a decoder behind it, in the encoder.
                let is_inside = subject.architecture.is_encoder_decoder() && !is_part(subject);
                let at = if is_inside { "encoder." } else { "" };
                plain(format!("{at}invertible_adapters.{name}.{rest}"))
            }
            Some(("phm", rule)) => parameters(&format!("phm_{rule}")),
            Some(("phm_down", weight)) => parameters(&weight.replacen('w', "W_down", 1)),
            Some(("phm_up", weight)) => parameters(&weight.replacen('w', "W_up", 1)),
            _ => parameters(part),
        },
    }
}
