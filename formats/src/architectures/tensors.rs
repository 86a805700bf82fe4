//! The tensors of a backbone: those of its modules, and what stands beside them.

use hub_schemas::backbone::{Architecture, Module, Table};

use super::{BackboneTensor, NormKind, TransformerConfig, deberta_v2, t5, vit, whisper};

/// Every tensor, in the order of computation but for what stands beside the modules.
pub(super) fn tensors(config: &TransformerConfig) -> Vec<BackboneTensor> {
    let is_there = |module: &Module| match module {
        Module::Pooler => !config.encoder.skips_pooler,
        Module::Embedding(Table::Position) => !config.encoder.lacks_positions,
        // What makes tokens of a signal says `own_tensors` of the architecture.
        module if module.is_in_head() || module.is_convolution() || module.is_shared() => false,
        Module::RelativeNorm => config.encoder.disentangled.is_some_and(|own| own.has_norm),
        _ => true,
    };
    let modules = config.shape.modules(config.architecture).into_iter().filter(is_there);
    let mut tensors: Vec<BackboneTensor> = modules.flat_map(|module| of_module(config, module)).collect();
    if config.architecture == Architecture::ModernBert {
        let h = config.shape.hidden_size;
        tensors.extend(["weight", "bias"].map(|part| BackboneTensor {
            optional: true,
            ..tensor(&format!("pooler.norm.{part}"), &format!("head.norm.{part}"), &[h])
        }));
    }
    tensors.extend(deberta_v2::relative_tensors(config));
    tensors.extend(deberta_v2::convolution_tensors(config));
    tensors.extend(vit::own_tensors(config));
    tensors.extend(whisper::own_tensors(config));
    tensors.extend(t5::own_tensors(config));
    tensors
}

fn of_module(config: &TransformerConfig, module: Module) -> Vec<BackboneTensor> {
    let path = config.architecture.module_path(module, config.shape.variant());
    let (inputs, outputs) = config.shape.module_dims(module);
    let named = |part: &str, dims: &[usize]| BackboneTensor {
        // Checkpoints of language models come without a pooler.
        optional: module == Module::Pooler,
        ..tensor(&format!("{module}.{part}"), &format!("{path}.{part}"), dims)
    };
    if let Module::Embedding(table) = module {
        let mut own = tensor(&module.to_string(), &format!("{path}.weight"), &[inputs, outputs]);
        if table == Table::Word && config.architecture.is_encoder_decoder() {
            // One table by three names, of which a checkpoint holds one or more.
            own.names.extend(["encoder", "decoder"].map(|stack| format!("{stack}.embed_tokens.weight")));
        }
        return vec![own];
    }
    if module.is_norm() {
        let mut norm = vec![older(named("weight", &[inputs]), &path, "gamma")];
        if has_norm_bias(config) {
            norm.push(older(named("bias", &[inputs]), &path, "beta"));
        }
        return norm;
    }
    let dims = if config.architecture.transposes_weights() { [inputs, outputs] } else { [outputs, inputs] };
    let mut linear = vec![named("weight", &dims)];
    let has_bias = match module {
        Module::Linear { site, .. } => config.has_bias(site),
        _ => true,
    };
    if has_bias {
        linear.push(named("bias", &[outputs]));
    }
    linear
}

/// Checkpoints converted from TensorFlow call a norm's weight `gamma` and its bias `beta`.
fn older(mut tensor: BackboneTensor, path: &str, part: &str) -> BackboneTensor {
    tensor.names.push(format!("{path}.{part}"));
    tensor
}

/// Whether norms have biases.
fn has_norm_bias(config: &TransformerConfig) -> bool {
    config.norm_kind == NormKind::Layer && !config.encoder.lacks_norm_bias
}

/// A tensor of exactly one name.
pub(super) fn tensor(canonical: &str, name: &str, shape: &[usize]) -> BackboneTensor {
    BackboneTensor {
        canonical: canonical.to_owned(),
        names: vec![name.to_owned()],
        shape: shape.to_vec(),
        optional: false,
    }
}
