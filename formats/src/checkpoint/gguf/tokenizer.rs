//! The `tokenizer.json` that a GGUF file amounts to: byte-level BPE, as GPT-2 and its heirs have it.

use serde_json::{Value, json};

use super::{
    GgufError,
    metadata::{Meta, Metadata},
    required,
};

/// How a text is cut into pieces before merging, by `tokenizer.ggml.pre`. Expressions from the
/// `tokenizer.json` files of the models they are named for.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// `tokenizer.ggml.token_type` of tokens that are no text.
const CONTROL: f64 = 3.0;
/// And of tokens that are text but never cut or merged.
const USER_DEFINED: f64 = 4.0;

pub(super) fn json(metadata: &Metadata) -> Result<Value, GgufError> {
    let wrong = |key: &str, reason: String| GgufError::Key { key: key.to_owned(), reason };
    let model = required(metadata, "tokenizer.ggml.model")?.text().unwrap_or_default();
    if model != "gpt2" {
        let reason = format!("is `{model}`; `gpt2` is read: put the model's tokenizer.json beside the file");
        return Err(wrong("tokenizer.ggml.model", reason));
    }
    let texts = |key: &str| {
        required(metadata, key)?.texts().ok_or_else(|| wrong(key, "is not a list of strings".to_owned()))
    };
    let (tokens, merges) = (texts("tokenizer.ggml.tokens")?, texts("tokenizer.ggml.merges")?);
    let kinds = match metadata.get("tokenizer.ggml.token_type") {
        Some(Meta::Numbers(kinds)) if kinds.len() == tokens.len() => kinds.as_slice(),
        _ => &[],
    };
    let added: Vec<Value> = (tokens.iter().enumerate())
        .filter_map(|(id, token)| {
            let kind = *kinds.get(id)?;
            let special = kind.to_bits() == CONTROL.to_bits();
            (special || kind.to_bits() == USER_DEFINED.to_bits()).then(|| {
                json!({
                    "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": special,
                })
            })
        })
        .collect();
    let vocabulary: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    if vocabulary.len() != tokens.len() {
        return Err(wrong("tokenizer.ggml.tokens", "has a token twice".to_owned()));
    }
    let pre = metadata.get("tokenizer.ggml.pre").and_then(Meta::text).unwrap_or("default");
    let cutting = pre_tokenizer(pre).ok_or_else(|| {
        wrong("tokenizer.ggml.pre", format!("is `{pre}`; put the model's tokenizer.json beside the file"))
    })?;
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": cutting,
        "post_processor": post_processor(metadata, tokens),
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": merges,
        },
    }))
}

fn pre_tokenizer(pre: &str) -> Option<Value> {
    let bytes = |use_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex });
    let sequence =
        |first: Value, second: Value| json!({ "type": "Sequence", "pretokenizers": [first, second] });
    let split = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
    Some(match pre {
        "gpt-2" | "default" => bytes(true),
        "smollm" => sequence(json!({ "type": "Digits", "individual_digits": true }), bytes(true)),
        "llama-bpe" => sequence(split(LLAMA3), bytes(false)),
        "qwen2" => sequence(split(QWEN2), bytes(false)),
        _ => return None,
    })
}

/// The first token of every text, where there is one.
fn post_processor(metadata: &Metadata, tokens: &[String]) -> Value {
    let id = metadata.get("tokenizer.ggml.bos_token_id").and_then(Meta::count);
    let token = id.and_then(|id| tokens.get(usize::try_from(id).ok()?));
    match (metadata.get("tokenizer.ggml.add_bos_token"), id, token) {
        (Some(Meta::Bool(true)), Some(id), Some(token)) => {
            let (mut special, text) =
                (serde_json::Map::new(), json!({ "Sequence": { "id": "A", "type_id": 0 } }));
            special.insert(token.clone(), json!({ "id": token, "ids": [id], "tokens": [token] }));
            let first = json!({ "SpecialToken": { "id": token, "type_id": 0 } });
            let second = json!({ "Sequence": { "id": "B", "type_id": 1 } });
            json!({
                "type": "TemplateProcessing", "single": [first, text], "pair": [first, text, second],
                "special_tokens": special,
            })
        }
        _ => Value::Null,
    }
}
