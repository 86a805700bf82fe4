//! The flexible heads of `adapters`: `heads.<name>.<index>.weight`.
//!
//! The index counts modules, those without weights included.

use super::{DECODER, Format, Head, Inexpressible, Slot, Subject, TensorSpec, head_slots, spec};
use crate::{
    backbone::Architecture,
    head::{LanguageModelHead, LinearStack, Pooling},
};

/// The tensors of `head` under the subject's name.
pub(in crate::layout) fn weights(
    head: &Head,
    subject: &Subject<'_>,
) -> Result<Vec<TensorSpec>, Inexpressible> {
    // The library knows regression as a classification with a single output.
    if matches!(head, Head::Regression(config) if config.num_labels != 1) {
        let what = "a `regression` head with several outputs".to_owned();
        return Err(Inexpressible { format: Format::Adapters, what });
    }
    let read = read_by_library(subject.architecture);
    if head.pooling().is_some_and(|own| !read.contains(&own)) && !matches!(head, Head::Embedding(_)) {
        let what = format!("a `{}` head on another token than the library reads", head.kind());
        return Err(Inexpressible { format: Format::Adapters, what });
    }
    if subject.architecture.has_distances()
        && matches!(head, Head::QuestionAnswering(config) if !config.scaled_as_words)
    {
        let what = "a `question-answering` head on the states of a T5 as they are".to_owned();
        return Err(Inexpressible { format: Format::Adapters, what });
    }
    let projection = head.linear_stack().filter(|stack| stack.layers > 1).and_then(|stack| stack.width);
    if let Some(width) = projection.filter(|&width| width != subject.shape.hidden_size) {
        let what =
            format!("a `{}` head with a layer of {width}, another width than the states'", head.kind());
        return Err(Inexpressible { format: Format::Adapters, what });
    }
    if head.is_behind_pooler() {
        let what = format!("a `{}` head on what the pooler's layer gives", head.kind());
        return Err(Inexpressible { format: Format::Adapters, what });
    }
    let slots = head_slots(head, subject.shape.hidden_size);
    let at = |part: &str| format!("heads.{}.{}", subject.name, module(head, part));
    let tensor = |slot: &Slot| {
        let spec = spec(at(slot.name.trim_start_matches("head.")), slot);
        // Where it is the backbone's own word embedding, a file need not hold it again.
        TensorSpec { optional: slot.name == DECODER, ..spec }
    };
    Ok(slots.iter().map(tensor).collect())
}

/// What the library's one word for the token that a head reads means on a backbone, and what has words of its own. Where
/// there is no padding the last token that is none is the last of those that are counted.
fn read_by_library(architecture: Architecture) -> &'static [Pooling] {
    match architecture {
        _ if architecture.classifies_ends_of_texts() => &[Pooling::EndOfText, Pooling::Mean],
        _ if architecture.is_decoder() => {
            &[Pooling::Last, Pooling::LastCounted, Pooling::Pooler, Pooling::Mean]
        }
        _ => &[Pooling::First, Pooling::Pooler, Pooling::Mean],
    }
}

/// `0.weight` to `1.weight`.
fn module(head: &Head, part: &str) -> String {
    let (first, rest) = part.split_once('.').unwrap_or((part, ""));
    match (head, first, first.parse::<usize>()) {
        (_, "arcs", _) => "biaffine_arcs.weight".to_owned(),
        (_, "relations", _) => "biaffine_rels.weight".to_owned(),
        (Head::MaskedLm(config) | Head::CausalLm(config) | Head::Seq2SeqLm(config), _, Ok(layer)) => {
            match rest.split_once('.') {
                Some(("norm", rest)) => format!("{}.{rest}", norm_index(config, layer)),
                _ => format!("{}.{rest}", layer * modules_per_layer(config)),
            }
        }
        (Head::MaskedLm(config) | Head::CausalLm(config) | Head::Seq2SeqLm(config), _, _) => {
            format!("{}.{rest}", config.layers.saturating_sub(1) * modules_per_layer(config))
        }
        (_, _, Ok(layer)) => match head.linear_stack() {
            Some(stack) => format!("{}.{rest}", linear_index(&stack, layer)),
            None => part.to_owned(),
        },
        _ => part.to_owned(),
    }
}

/// Dropout, linear and, where there is one, an activation.
fn linear_index(stack: &LinearStack, layer: usize) -> usize {
    layer * (2 + usize::from(stack.activation.is_some())) + 1
}

/// Linear and, where they are, an activation and a norm.
fn modules_per_layer(config: &LanguageModelHead) -> usize {
    1 + usize::from(config.activation.is_some()) + usize::from(config.layer_norm)
}

fn norm_index(config: &LanguageModelHead, layer: usize) -> usize {
    layer * modules_per_layer(config) + 1 + usize::from(config.activation.is_some())
}
