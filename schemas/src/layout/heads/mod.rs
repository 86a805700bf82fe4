//! The tensors of prediction heads: their slots, and what they are called on disk.
//!
//! `adapters` has flexible heads, named by their place in a sequence of modules
//! (`flexible.rs`). `transformers`, and PEFT with it, has heads that are part of a
//! model class, named by that class (`model_class.rs`).

mod flexible;
mod model_class;

pub use model_class::{HeadSizes, HeadTask, ModelClass, UnknownModelClass};

use super::{Format, Head, Inexpressible, Method, Place, Slot, Subject, TensorSpec};
use crate::head::{DependencyParsingHead, LanguageModelHead, LinearStack, Pooling};

/// The slot of the table that a language model's last layer multiplies with. It is the
/// backbone's own word embedding where the checkpoint ties the two.
pub const DECODER: &str = "head.decoder.weight";
/// The bias behind it.
pub const DECODER_BIAS: &str = "head.decoder.bias";

pub(super) use flexible::weights as flexible_weights;

/// The tensors of `head`: linear layer `i` is `head.i`.
pub fn head_slots(head: &Head, hidden_size: usize) -> Vec<Slot> {
    if let Some(stack) = head.linear_stack() {
        let widths = head.pooling().map_or(1, Pooling::widths);
        return linear_slots(&stack, hidden_size, widths * hidden_size);
    }
    match head {
        Head::DependencyParsing(config) => biaffine_slots(config, hidden_size),
        Head::MaskedLm(config) | Head::CausalLm(config) | Head::Seq2SeqLm(config) => {
            language_model_slots(config, hidden_size)
        }
        _ => Vec::new(),
    }
}

fn slot(part: &str, shape: &[usize]) -> Slot {
    Slot::new(Place::Head, part, shape)
}

fn spec(disk: String, slot: &Slot) -> TensorSpec {
    TensorSpec::new(disk, slot)
}

fn linear_slots(stack: &LinearStack, hidden_size: usize, read: usize) -> Vec<Slot> {
    let mut slots = Vec::new();
    let width = stack.width.unwrap_or(hidden_size);
    for layer in 0..stack.layers {
        let last = layer + 1 == stack.layers;
        let outputs = if last { stack.outputs } else { width };
        let inputs = if layer == 0 { read } else { width };
        slots.push(slot(&format!("{layer}.weight"), &[outputs, inputs]));
        if !last || stack.bias {
            slots.push(slot(&format!("{layer}.bias"), &[outputs]));
        }
    }
    slots
}

/// A one is appended to every dependent, and for the relations to every head too.
fn biaffine_slots(config: &DependencyParsingHead, hidden_size: usize) -> Vec<Slot> {
    let h = hidden_size;
    vec![slot("arcs.weight", &[1, h + 1, h]), slot("relations.weight", &[config.num_labels, h + 1, h + 1])]
}

fn language_model_slots(config: &LanguageModelHead, hidden_size: usize) -> Vec<Slot> {
    let e = config.embedding_size;
    let mut slots = Vec::new();
    for layer in 0..config.layers.saturating_sub(1) {
        let inputs = if layer == 0 { hidden_size } else { e };
        slots.push(slot(&format!("{layer}.weight"), &[e, inputs]));
        slots.push(slot(&format!("{layer}.bias"), &[e]));
        if config.layer_norm {
            slots.push(slot(&format!("{layer}.norm.weight"), &[e]));
            slots.push(slot(&format!("{layer}.norm.bias"), &[e]));
        }
    }
    slots.push(slot("decoder.weight", &[config.vocab_size, e]));
    if config.bias {
        slots.push(slot("decoder.bias", &[config.vocab_size]));
    }
    slots
}

/// Whether a tensor of a head is no parameter of the model class, but a buffer beside its layers: BART's
/// `final_logits_bias`.
pub fn is_buffer(head: &Head, tensor: &TensorSpec) -> bool {
    matches!(head, Head::Seq2SeqLm(_)) && tensor.slot == DECODER_BIAS
}

/// What PEFT saves beside an adapter: the head of the model class that it wrapped.
pub(super) fn peft_tensors(head: &Head, subject: &Subject<'_>) -> Result<Vec<TensorSpec>, Inexpressible> {
    let refuse = |what: String| Err(Inexpressible { format: Format::Peft, what });
    if head_slots(head, subject.shape.hidden_size).is_empty() {
        return Ok(Vec::new());
    }
    let class = ModelClass::with_head(subject.architecture, head);
    let Some(class) = class.filter(|class| class.is_saved_by_peft()) else {
        return refuse(match head.linear_stack() {
            Some(_) => format!("a `{}` head other than that of `transformers`", head.kind()),
            None => format!("a `{}` head", head.kind()),
        });
    };
    // Prompt learning does not wrap the model, so that a path has one part less.
    let is_prompt = matches!(subject.method, Method::Prompt(_) | Method::Prefix(_));
    if !subject.prefixed && !is_prompt && class.holds_backbone() {
        return refuse("a head on the bare backbone".to_owned());
    }
    let root = if is_prompt { "base_model." } else { "base_model.model." };
    let mut tensors = class.tensors(head, subject.shape.hidden_size);
    for tensor in &mut tensors {
        // A buffer of the model, which PEFT does not save with its output layer.
        tensor.optional = is_buffer(head, tensor);
        tensor.disk.insert_str(0, root);
        // With `bias: all` PEFT writes the biases inside of its wrapper too.
        if let Some(path) = tensor.disk.strip_suffix(".bias") {
            let inner = ["modules_to_save", "original_module"].map(|part| format!("{path}.{part}.bias"));
            tensor.aliases.extend(inner);
        }
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests;
