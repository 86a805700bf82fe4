//! Every key of a `config.json` must be known: one that nobody thought of may change what the model computes.
//!
//! What is known stands in tables: one for all architectures here, one for each beside the code that reads it.

mod common;
mod family;
#[cfg(test)]
mod tests;

use hub_schemas::backbone::Architecture;
use serde_json::{Map, Value};

use super::{
    ConfigError, albert, bart, bert, deberta_v2, distilbert, electra, gemma, gpt2, llama, modernbert, qwen,
    shown, t5, vit, whisper,
};

/// What is known of some keys of a `config.json`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys {
    /// They are read.
    Read(&'static [&'static str]),
    /// Nothing that is computed here depends on them.
    Idle(&'static [&'static str]),
    /// Of a switch one value is computed; a null says the same.
    Only(&'static str, Usual),
    /// The first is another name of the second, which the library prefers: they must say the same.
    Alias(&'static str, &'static str),
}

/// The value of a switch that is computed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Usual {
    Null,
    No,
    Yes,
    Number(u32),
    /// Nothing in it.
    Empty,
}

impl Usual {
    fn is(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::No => *value == Value::Bool(false),
            Self::Yes => *value == Value::Bool(true),
            // 1 and 1.0 are not the same JSON.
            Self::Number(number) => {
                value.as_f64().is_some_and(|value| (value - f64::from(number)).abs() <= 0.0)
            }
            Self::Empty => match value {
                Value::Object(items) => items.is_empty(),
                Value::Array(items) => items.is_empty(),
                _ => false,
            },
        }
    }
}

impl Keys {
    fn names(self, key: &str) -> bool {
        match self {
            Self::Read(keys) | Self::Idle(keys) => keys.contains(&key),
            Self::Only(name, _) | Self::Alias(name, _) => name == key,
        }
    }

    /// Refuses another value than the one that is computed.
    fn allows(self, json: &Map<String, Value>, value: &Value) -> Result<(), ConfigError> {
        match self {
            Self::Only(key, usual) if !usual.is(value) => Err(ConfigError::Field {
                key,
                found: shown(Some(value)),
                expected: "only the usual value is supported in this version",
            }),
            Self::Alias(key, of) if json.get(of) != Some(value) => {
                Err(ConfigError::Alias { key, found: shown(Some(value)), of, other: shown(json.get(of)) })
            }
            _ => Ok(()),
        }
    }
}

/// What is known of an architecture's keys; of a key that two tables name, the later one says it.
fn tables(architecture: Architecture) -> Vec<&'static [Keys]> {
    use Architecture as A;
    let own: &[&'static [Keys]] = match architecture {
        A::Bert | A::Roberta | A::XlmRoberta => &[family::ENCODER, bert::KEYS],
        A::Electra => &[family::ENCODER, bert::KEYS, electra::KEYS],
        A::Albert => &[family::ENCODER, bert::KEYS, albert::KEYS],
        A::DebertaV2 => &[family::ENCODER, bert::KEYS, deberta_v2::KEYS],
        A::DistilBert => &[family::ENCODER, distilbert::KEYS],
        A::ModernBert => &[family::ENCODER, modernbert::KEYS],
        A::Vit => &[family::ENCODER, vit::KEYS, vit::VIT_KEYS],
        A::Dinov2 => &[family::ENCODER, vit::KEYS, vit::DINOV2_KEYS],
        A::Gpt2 => &[family::DECODER, gpt2::KEYS],
        A::Llama => &[family::DECODER, llama::KEYS],
        A::Mistral => &[family::DECODER, llama::KEYS, llama::MISTRAL_KEYS],
        A::Qwen2 | A::Qwen3 => &[family::DECODER, llama::KEYS, qwen::KEYS],
        A::Gemma => &[family::DECODER, llama::KEYS, gemma::KEYS],
        A::Gemma2 => &[family::DECODER, llama::KEYS, gemma::KEYS, gemma::GEMMA2_KEYS],
        A::T5 | A::Mt5 => &[family::SEQ2SEQ, t5::KEYS],
        A::Bart => &[family::SEQ2SEQ, family::TWO_STACKS, bart::KEYS, bart::BART_KEYS],
        A::MBart => &[family::SEQ2SEQ, family::TWO_STACKS, bart::KEYS, bart::MBART_KEYS],
        A::Whisper => &[family::SEQ2SEQ, family::TWO_STACKS, whisper::KEYS],
    };
    [&[common::KEYS], own].concat()
}

/// What is known of a key.
fn known(architecture: Architecture, key: &str) -> Option<Keys> {
    tables(architecture).into_iter().rev().flatten().copied().find(|keys| keys.names(key))
}

/// Refuses keys that nobody knows, and values of known ones that are not computed. A null says nothing.
pub(super) fn check(json: &Map<String, Value>, architecture: Architecture) -> Result<(), ConfigError> {
    let mut unknown = Vec::new();
    for (key, value) in json.iter().filter(|(_, value)| !value.is_null()) {
        match known(architecture, key) {
            Some(keys) => keys.allows(json, value)?,
            None => unknown.push((key.as_str(), value)),
        }
    }
    refuse(&unknown)
}

/// Refuses keys by their names.
pub(super) fn refuse(unknown: &[(&str, &Value)]) -> Result<(), ConfigError> {
    // As many as anybody reads.
    const SHOWN: usize = 8;
    if unknown.is_empty() {
        return Ok(());
    }
    let short = |key: &str| key.chars().take(60).flat_map(char::escape_default).collect::<String>();
    let shown = |&(key, value): &(&str, &Value)| (short(key), shown(Some(value)));
    Err(ConfigError::Unknown { keys: unknown.iter().take(SHOWN).map(shown).collect() })
}
