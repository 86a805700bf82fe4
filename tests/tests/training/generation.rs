//! Answers of language models, with the real program.

use std::path::PathBuf;

use hub_tests::words::write_base_of_words;
use serde_json::{Value, json};

use super::world::World;

/// The tiny `fixture` as `name`, which says of itself how it answers.
fn add_base(world: &World, (fixture, name): (&str, &str), generation: &Value) -> PathBuf {
    let base = world.path(name);
    write_base_of_words(&base, fixture, generation);
    base
}

/// A tiny decoder with a chat template.
fn world() -> World {
    let world = World::new();
    let base = add_base(&world, ("llama", "tiny-llama"), &json!({"eos_token_id": [38, 39]}));
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

#[test]
fn an_encoder_decoder_answers_as_its_own_settings_say_unless_asked_otherwise() {
    let world = World::new();
    // The tokens that `generate` of transformers gives: tests/fixtures/generation/golden.json.
    let settings = json!({"decoder_start_token_id": 2, "eos_token_id": [2, 3, 20], "forced_eos_token_id": 2,
        "num_beams": 4, "length_penalty": 2.5, "early_stopping": true, "no_repeat_ngram_size": 2, "max_length": 17});
    add_base(&world, ("bart-scaled", "tiny-bart"), &settings);
    let answer = |more: &[&str]| {
        let (code, stdout, stderr) =
            world.run(&[&["run", "None", "--base", "tiny-bart", "w5 w9 w2 w17 w8"], more].concat());
        assert_eq!(code, 0, "{stderr}");
        stdout
    };
    assert_eq!(answer(&[]), "w17 w33 w17 w17\n", "its end, w3, is not shown");
    let short =
        ["--beams", "3", "--length-penalty", "-1", "--early-stopping", "never", "--no-repeat-ngram", "0"];
    assert_eq!(answer(&short), "\n", "the end alone");
    assert_eq!(
        answer(&["--beams", "1", "--no-repeat-ngram", "0", "--max-new-tokens", "6"]),
        "w17 w33 w17 w17 w33\n"
    );
    assert_eq!(
        answer(&["--temperature", "2", "--seed", "3"]),
        answer(&["--temperature", "2", "--seed", "3"])
    );
}

#[test]
fn what_a_base_states_and_nobody_computes_is_refused_by_name() {
    let world = World::new();
    let refusal = |name: &str, settings: Value, more: &[&str]| {
        add_base(&world, ("t5", name), &settings);
        let (code, _, stderr) = world.run(&[&["run", "None", "--base", name, "w5"], more].concat());
        assert_ne!(code, 0);
        stderr.replace(&world.path(name).display().to_string(), name)
    };
    let beams = ["--beams", "4", "--temperature", "1"];
    let messages = [
        refusal("with-bad-words", json!({"bad_words_ids": [[7]]}), &[]),
        refusal("drawn", json!({}), &beams),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    error: `with-bad-words/generation_config.json` can't be used: `bad_words_ids` is [[7]]; this version does not write that way

    error: 4 beams are searched for the most probable text: they can't be drawn from at a temperature
    ");
}
