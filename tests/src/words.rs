//! Tiny language models of the fixtures that read and write words: their forty tokens are `w0` to `w39`.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::golden::fixtures;

/// Writes the base `fixture` of `fixtures/methods/bases` into `folder`, which is made, with a tokenizer and with
/// what it says of its answers.
pub fn write_base_of_words(folder: &Path, fixture: &str, generation: &Value) {
    std::fs::create_dir_all(folder).expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        let from = fixtures().join("methods/bases").join(fixture).join(file);
        std::fs::copy(from, folder.join(file)).expect("copied");
    }
    write_words(folder);
    std::fs::write(folder.join("generation_config.json"), generation.to_string()).expect("written");
}

/// Writes the `tokenizer.json` of the forty words.
pub fn write_words(folder: &Path) {
    let words: Map<String, Value> = (0..40).map(|i| (format!("w{i}"), json!(i))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).expect("written");
}
