//! PEFT's names: `base_model.model.<module>.lora_A.weight`.

use super::{
    Format, Inexpressible, Method, PEFT_WEIGHTS, Place, Slot, Subject, TensorSpec, WeightsFile, heads,
};
use crate::{
    backbone::{Architecture, BackboneShape, Module, Table},
    method::{Dora, PrefixConfig, PromptGate, PromptJoin, PromptPlace, VeraScaling},
};

/// What stands in front of every module path.
pub(super) const ROOT: &str = "base_model.model.";

pub(super) fn weights_files(subject: &Subject<'_>) -> Result<Vec<WeightsFile>, Inexpressible> {
    let mut tensors = Vec::new();
    if let Method::Replace(config) = subject.method
        && config.whole_modules().is_none()
    {
        return refuse("trained copies of some of a module's tensors; neither library has that alone");
    }
    for part in subject.method.parts() {
        expressible(part, subject)?;
        tensors.extend(part.slots(subject.shape).iter().map(|slot| spec(part, slot, subject)));
    }
    name_wrapped(&mut tensors);
    if let Some(head) = subject.head {
        tensors.extend(heads::peft_tensors(head, subject)?);
    }
    Ok(vec![WeightsFile { path: PEFT_WEIGHTS, tensors }])
}

/// The copy of a bias or table whose module PEFT has wrapped is called by the module inside.
fn name_wrapped(tensors: &mut [TensorSpec]) {
    let changed: Vec<&TensorSpec> = tensors.iter().filter(|spec| !is_copy(spec)).collect();
    let is_wrapped = |path: &str| changed.iter().any(|spec| spec.disk.starts_with(path));
    let renamed: Vec<Option<String>> = (tensors.iter())
        .map(|spec| {
            let part =
                ["bias", "weight"].into_iter().find(|part| spec.disk.ends_with(part) && is_copy(spec))?;
            let path = spec.disk.strip_suffix(part)?;
            is_wrapped(path).then(|| format!("{path}base_layer.{part}"))
        })
        .collect();
    for (spec, name) in tensors.iter_mut().zip(renamed) {
        if let Some(name) = name {
            spec.disk = name;
        }
    }
}

/// Whether a tensor is a trained copy of one of the backbone's.
fn is_copy(spec: &TensorSpec) -> bool {
    spec.slot.contains(".replaced")
}

fn refuse<T>(what: impl Into<String>) -> Result<T, Inexpressible> {
    Err(Inexpressible { format: Format::Peft, what: what.into() })
}

/// Refuses what PEFT has no words for.
fn expressible(method: &Method, subject: &Subject<'_>) -> Result<(), Inexpressible> {
    match method {
        Method::Lora(config) if !config.fused.is_empty() => {
            refuse("a LoRA with factors of their own for queries, keys and values in one matrix")
        }
        Method::Ia3(config) if !config.fused.is_empty() => {
            refuse("(IA)³ on some of the queries, keys and values in one matrix")
        }
        Method::LlamaAdapter(_) if !has_adaption_prompts(subject.architecture) => {
            let base = subject.architecture.model_type();
            refuse(format!("adaption prompts on `{base}`; it has them on LLaMA, Mistral and GPT-2"))
        }
        Method::LlamaAdapter(config) if config.image.is_some() => refuse("adaption prompts of images"),
        Method::LlamaAdapter(config) if config.gate == PromptGate::HeadTanh => {
            refuse("adaption prompts with a gate for every head, as in the paper")
        }
        Method::LlamaAdapter(config) if config.join != join(config.gate, subject.architecture) => {
            refuse("adaption prompts that are added elsewhere than where PEFT adds them")
        }
        Method::Lora(config) if config.use_gating => refuse("a LoRA with a gate"),
        Method::Lora(config) if config.multi_task.is_some() => refuse("an MTL-LoRA"),
        Method::Lora(config) if config.dora == Some(Dora::Unscaled) => {
            refuse("DoRA as `adapters` normalises it")
        }
        Method::Ia3(config) if config.use_gating || config.alpha.to_bits() != 1f64.to_bits() => {
            refuse("(IA)³ with a gate or a fixed factor")
        }
        Method::Vera(config) if config.scaling == VeraScaling::Matrix || config.alpha.is_some() => {
            refuse("VeRA as `adapters` computes it")
        }
        Method::Prompt(config) if config.place != PromptPlace::Words => {
            refuse("a prompt behind the embedding block")
        }
        Method::Prompt(config) if config.encoder_hidden_size.is_some() => {
            refuse("the network of a prompt, which is folded into its tokens when training ends")
        }
        Method::Prefix(config) if config.bottleneck_size.is_some() => {
            refuse("the network of a prefix, which is folded into its keys and values when training ends")
        }
        Method::Prefix(config) if !has_prefix(config) => {
            refuse("a prefix with gates, not in every layer or that leaves positions alone")
        }
        Method::Prefix(config) if !stands_at_decoder(config, subject.shape) => {
            refuse("a prefix of an encoder in front of a decoder, or of what attends to it")
        }
        Method::Hadamard(_) => refuse("a Hadamard adapter; neither library has it"),
        Method::Lora(_)
        | Method::AdaLora(_)
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
        | Method::Tokens(_)
        | Method::Ia3(_)
        | Method::Vera(_)
        | Method::Prompt(_)
        | Method::Prefix(_)
        | Method::LlamaAdapter(_)
        | Method::Replace(_) => Ok(()),
        other => refuse(format!("the method `{}`", other.kind())),
    }
}

/// Whether PEFT has such a prefix, once its network is folded into its keys and values.
pub(super) fn has_prefix(config: &PrefixConfig) -> bool {
    config.shifts_positions && !config.use_gating && config.leave_out.is_empty()
}

/// Whether nothing but the tokens of a decoder have it, where one stands behind an encoder.
pub(super) const fn stands_at_decoder(config: &PrefixConfig, shape: &BackboneShape) -> bool {
    shape.decoder_layers.is_none() || !(config.encoder_prefix || config.cross_prefix)
}

/// The models that PEFT 0.21.2 gives adaption prompts (`TRANSFORMERS_MODEL_CONFIG`).
pub(super) const fn has_adaption_prompts(architecture: Architecture) -> bool {
    matches!(architecture, Architecture::Llama | Architecture::Mistral | Architecture::Gpt2)
}

/// Where what adaption prompts contribute is added: where PEFT adds it, or as the paper does.
pub const fn join(gate: PromptGate, architecture: Architecture) -> PromptJoin {
    match (gate, architecture) {
        (PromptGate::HeadTanh, _) => PromptJoin::Heads,
        (PromptGate::Scalar, Architecture::Gpt2) => PromptJoin::Output,
        (PromptGate::Scalar, _) => PromptJoin::Projected,
    }
}

fn is_linear_weight(slot: &Slot) -> bool {
    // The layers of a head are never transposed.
    let is_linear = |module: Module| module.is_linear() && !module.is_in_head();
    matches!(slot.place, Place::Module(module) if is_linear(module)) && slot.part == "replaced.weight"
}

fn spec(method: &Method, slot: &Slot, subject: &Subject<'_>) -> TensorSpec {
    let variant = subject.shape.variant();
    let prefix = || format!("{}.", subject.architecture.model_prefix(variant));
    let prefix = if subject.prefixed { prefix() } else { String::new() };
    if let Place::SelfAttention { layer } = slot.place {
        let at = format!("{ROOT}{prefix}{}", subject.architecture.attention_path(layer, variant));
        let spec = TensorSpec::new(format!("{at}.{}", slot.part), slot);
        return match (slot.part.as_str(), slot.shape.as_slice()) {
            ("adaption_prompt", &[tokens, width]) => spec.shaped(&[1, tokens, width]),
            _ => spec,
        };
    }
    let Place::Module(module) = slot.place else {
        let disk = match slot.part.as_str() {
            "prompt" | "prefix" => "prompt_embeddings".to_owned(),
            "vera_a" => "base_model.vera_A".to_owned(),
            "vera_b" => "base_model.vera_B".to_owned(),
            "randlora_a" => "base_model.randlora_A".to_owned(),
            "randlora_b" => "base_model.randlora_B".to_owned(),
            "vblora_bank" => "base_model.vblora_vector_bank".to_owned(),
            part => format!("base_model.{part}"),
        };
        let spec = TensorSpec::new(disk, slot);
        return match method {
            // PEFT keeps the shared matrices again at every layer.
            Method::RandLora(config) => {
                let name = if slot.part == "randlora_a" { "randlora_A" } else { "randlora_B" };
                let at = |module| subject.architecture.path_in_model(module, subject.prefixed, variant);
                spec.also(config.targets.iter().map(|module| format!("{ROOT}{}.{name}", at(module))))
            }
            _ => spec,
        };
    };
    let path = format!("{ROOT}{}", subject.architecture.path_in_model(module, subject.prefixed, variant));
    let spec = TensorSpec::new(format!("{path}.{}", module_part(module, &slot.part)), slot);
    // A copy lies as what it was copied from.
    let is_transposed = subject.architecture.transposes_weights() && is_linear_weight(slot);
    let spec = if is_transposed { spec.transposed() } else { spec };
    // An encoder's language model has the bias of its table twice.
    let twice =
        path.strip_suffix(".decoder").filter(|_| module == Module::Output && slot.part == "replaced.bias");
    let spec = spec.also(twice.map(|head| format!("{head}.bias")));
    match method {
        Method::Tokens(config) if config.beside => {
            TensorSpec::new(format!("{path}.token_adapter.trainable_tokens_delta"), slot)
        }
        // Where the table is tied to those of both stacks, PEFT keeps the rows again for each.
        Method::Tokens(config) if config.table == module && config.embedding() == Some(Table::Word) => {
            let names = [Table::EncoderWord, Table::DecoderWord].map(Module::Embedding).into_iter();
            let there = names.filter(|&name| subject.shape.has(subject.architecture, name));
            let path = |name| subject.architecture.path_in_model(name, subject.prefixed, variant);
            spec.also(there.map(|name| format!("{ROOT}{}.trainable_tokens_delta", path(name))))
        }
        // On its input a column, on its output a row.
        Method::Ia3(config) if config.inputs.contains(module) => spec.shaped(&[1, slot.len()]),
        Method::Ia3(_) => spec.shaped(&[slot.len(), 1]),
        // The product of the factors is added to the weight as it is stored, which is the other way around.
        Method::Lora(config) if config.as_stored.contains(module) => {
            let factor = if slot.part == "lora_a" { "lora_B" } else { "lora_A" };
            TensorSpec::new(format!("{path}.{factor}.weight"), slot).transposed()
        }
        // Alone, copies of modules are what PEFT calls `LN_TUNING`.
        Method::Replace(_) if matches!(subject.method, Method::Replace(_)) => TensorSpec {
            disk: format!("{path}.ln_tuning_layers.{}", module_part(module, &slot.part)),
            ..spec
        },
        _ => spec,
    }
}

fn module_part(module: Module, part: &str) -> String {
    let table = matches!(module, Module::Embedding(_));
    match part {
        "lora_a" if table => "lora_embedding_A",
        "lora_b" if table => "lora_embedding_B",
        "lora_a" => "lora_A.weight",
        "lora_b" => "lora_B.weight",
        "lora_b_bias" => "lora_B.bias",
        "ada_a" => "lora_A",
        "ada_b" => "lora_B",
        "ada_e" => "lora_E",
        "oft_r" => "oft_R.weight",
        "boft_r" => "boft_R",
        "beft" => "beft_bias",
        "delora_a" => "delora_A",
        "delora_b" => "delora_B",
        "gralora_a" => "gralora_A",
        "gralora_b" => "gralora_B",
        "gralora_a_general" => "gralora_A_general.weight",
        "gralora_b_general" => "gralora_B_general.weight",
        "hira_a" if table => "hira_embedding_A",
        "hira_b" if table => "hira_embedding_B",
        "hira_a" => "hira_A",
        "hira_b" => "hira_B",
        "vblora_logits_a" => "vblora_logits_A",
        "vblora_logits_b" => "vblora_logits_B",
        "vblora_logits_a_topk_indices" => "vblora_logits_A_topk_indices",
        "vblora_logits_a_topk_weights" => "vblora_logits_A_topk_weights",
        "vblora_logits_b_topk_indices" => "vblora_logits_B_topk_indices",
        "vblora_logits_b_topk_weights" => "vblora_logits_B_topk_weights",
        "deft_p" => "deft_P",
        "deft_r" => "deft_R",
        "tokens" => "trainable_tokens_delta",
        "magnitude" => "lora_magnitude_vector",
        "ia3" => "ia3_l",
        "lambda_d" => "vera_lambda_d",
        "lambda_b" => "vera_lambda_b",
        "replaced" | "replaced.weight" => "weight",
        "replaced.bias" => "bias",
        other => return glora_part(other).unwrap_or_else(|| other.to_owned()),
    }
    .to_owned()
}

/// `glora_a.xd` is called `glora_A.Xd` there.
fn glora_part(part: &str) -> Option<String> {
    let (path, name) = part.strip_prefix("glora_")?.split_once('.')?;
    let name = match name {
        "xd" => "Xd",
        "xu" => "Xu",
        "x" => "X",
        other => other,
    };
    Some(format!("glora_{}.{name}", path.to_uppercase()))
}
