//! Answers of language models, with the real program.

use std::path::Path;

use serde_json::{Value, json};

use super::world::World;

/// A tiny decoder whose forty tokens are the words `w0` to `w39`, with a chat template.
fn world() -> World {
    let world = World::new();
    let base = world.path("tiny-llama");
    std::fs::create_dir_all(&base).expect("a folder");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods/bases/llama");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture.join(file), base.join(file)).expect("copied");
    }
    let words: serde_json::Map<String, Value> = (0..40).map(|i| (format!("w{i}"), json!(i))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"},
    });
    std::fs::write(base.join("tokenizer.json"), tokenizer.to_string()).expect("written");
    std::fs::write(base.join("generation_config.json"), r#"{"eos_token_id": [38, 39]}"#).expect("written");
    let template =
        "{% for m in messages %}{{ m.content }} {% if m.role == 'system' %}w1 {% endif %}{% endfor %}w17 w8";
    std::fs::write(base.join("tokenizer_config.json"), json!({"chat_template": template}).to_string())
        .expect("written");
    world
}

fn answer(world: &World, more: &[&str]) -> String {
    let arguments: Vec<&str> = ["run", "None", "--base", "tiny-llama", "--max-new-tokens", "6"]
        .iter()
        .chain(more)
        .copied()
        .collect();
    let (code, stdout, stderr) = world.run(&arguments);
    assert_eq!(code, 0, "{stderr}");
    stdout
}

#[test]
fn a_plain_language_model_continues_a_text() {
    let world = world();
    // The tokens that `generate` of transformers gives: tests/fixtures/generation/golden.json.
    assert_eq!(answer(&world, &["--raw", "w5 w9 w2 w17 w8"]), "w24 w31 w9 w0 w24 w0\n");
    // The template adds the last two.
    assert_eq!(answer(&world, &["w5 w9 w2"]), "w24 w31 w9 w0 w24 w0\n");
    assert_eq!(answer(&world, &["w5 w9 w2", "--stop", " w9"]), "w24 w31\n");
    assert_ne!(answer(&world, &["w5", "--system", "w9"]), answer(&world, &["w5"]));
}

#[test]
fn draws_are_repeated_by_their_seed() {
    let world = world();
    let draw = |seed: &str| answer(&world, &["--raw", "w5 w9", "--temperature", "3", "--seed", seed]);
    assert_eq!(draw("1"), draw("1"));
    assert!(["2", "3", "4"].iter().any(|seed| draw(seed) != draw("1")));
    assert_eq!(
        answer(&world, &["--raw", "w5 w9", "--temperature", "3", "--top-k", "1"]),
        answer(&world, &["--raw", "w5 w9"])
    );
}

#[test]
fn answers_as_json_say_why_they_ended() {
    let world = world();
    let text = answer(&world, &["--raw", "w5 w9 w2 w17 w8", "--format", "json"]);
    let answers: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        answers["answers"][0],
        json!({
            "prompt": "w5 w9 w2 w17 w8", "text": "w24 w31 w9 w0 w24 w0", "tokens": [24, 31, 9, 0, 24, 0],
            "prompt_tokens": 5, "finish_reason": "length",
        })
    );
}

#[test]
fn what_can_not_be_generated_is_refused_with_the_reason() {
    let world = world();
    let refusal = |arguments: &[&str]| {
        let (code, _, stderr) = world.run(arguments);
        assert_ne!(code, 0);
        stderr
    };
    let long = "w1 ".repeat(40);
    let messages = [
        refusal(&["run", "None", "--base", "tiny-llama", "--raw", &long]),
        refusal(&["run", "None", "--base", "tiny-bert", "a text"]),
        refusal(&["run", "None", "--base", "tiny-llama", "--top-p", "2", "w1"]),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    error: the prompt has 40 tokens; this backbone reads 32 in all

    error: neither the adapter nor the base model has a language model's head: there is nothing that writes

    error: invalid value '2' for '--top-p <P>': it must lie between 0 and 1

    For more information, try '--help'.
    ");
}
