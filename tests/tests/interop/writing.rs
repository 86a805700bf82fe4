//! What language models were trained to write, through the real libraries: the same logits.

use std::path::Path;

use anyhow::{Result, ensure};
use hub_tests::{
    interop::{Tensors, ensure_same, fixture, hub, hub_forward_on, python_forward_on, succeed},
    sounds::{SETTINGS, record},
    words::write_base_of_words,
};
use serde_json::json;

const PROMPTS: &str = "\
prompt,completion
w10 w31,w20 w25
w11 w35 w9,w21 w26
w12 w30,w22 w27
w10 w33 w8 w7,w20 w25
";

/// What is read, and what is to be written, in `home`; the base's own files too.
fn write_data(home: &Path, base: &str) -> Result<()> {
    if base != "whisper" {
        return Ok(std::fs::write(home.join("data.csv"), PROMPTS)?);
    }
    std::fs::write(home.join("base/preprocessor_config.json"), SETTINGS)?;
    record(&home.join("high.wav"), 2500.0, 0.5);
    record(&home.join("low.wav"), 300.0, 0.4);
    Ok(std::fs::write(home.join("data.csv"), "audio,text\nhigh.wav,w5 w6\nlow.wav,w7\n")?)
}

/// Trains on a tiny language model, and compares the logits of the folder in its format's library with ours.
fn means_the_same_in(library: &str, base: &str, method: &[&str]) -> Result<()> {
    let home = tempfile::tempdir()?;
    let folder = home.path().join("base");
    write_base_of_words(&folder, base, &json!({"eos_token_id": 3, "decoder_start_token_id": 2}));
    write_data(home.path(), base)?;
    let mut command = hub(home.path())?;
    command.args(["train", "--base", "base", "--data", "data.csv", "--validation", "data.csv"]);
    command.args(["--output", "out", "--steps", "8", "--batch-size", "2", "--lr", "0.05"]).args(method);
    succeed(&mut command)?;
    let kinds = [("t5", "t5"), ("bart", "bart"), ("whisper", "transcripts")];
    let kind =
        kinds.into_iter().find(|(kind, _)| base.starts_with(kind)).map_or("decoder", |(_, inputs)| inputs);
    let inputs = fixture(&format!("methods/inputs/{kind}.safetensors"));
    let adapter = home.path().join("out");
    let logits = |mut all: Tensors| -> Result<Tensors> {
        all.retain(|name, _| name == "logits");
        ensure!(!all.is_empty(), "there are no logits");
        Ok(all)
    };
    let of = |base: &Path, adapter| hub_forward_on(&inputs, base, adapter);
    let ours = logits(of(&folder, Some(&adapter))?)?;
    ensure!(ensure_same(&ours, &logits(of(&folder, None)?)?).is_err(), "the adapter changes nothing");
    ensure_same(&ours, &logits(python_forward_on(&inputs, library, &folder, Some(&adapter))?)?)
}

const TREES: &str = "\
1\tw10\t_\t_\t_\t_\t2\tdet\t_\t_
2\tw31\t_\t_\t_\t_\t0\troot\t_\t_

1\tw12\t_\t_\t_\t_\t0\troot\t_\t_
2\tw30\t_\t_\t_\t_\t1\tobj\t_\t_
";

#[test]
fn parsers_and_choosers_mean_the_same_in_adapters() -> Result<()> {
    let home = tempfile::tempdir()?;
    let folder = home.path().join("base");
    write_base_of_words(&folder, "bert", &json!({}));
    std::fs::write(home.path().join("trees.conllu"), TREES)?;
    std::fs::write(
        home.path().join("choices.csv"),
        "text,choice1,choice2,label\nw10,w31 w4,w5,0\nw12,w30,w7 w8,1\n",
    )?;
    for (data, head, inputs) in
        [("trees.conllu", "dependency-parsing", "parsing"), ("choices.csv", "multiple-choice", "choices")]
    {
        let mut command = hub(home.path())?;
        command.args(["train", "--base", "base", "--data", data, "--validation", data, "--head", head]);
        command.args(["--output", head, "--steps", "8", "--lr", "0.05", "--reduction-factor", "4"]);
        succeed(&mut command)?;
        let inputs = fixture(&format!("methods/inputs/{inputs}.safetensors"));
        let adapter = home.path().join(head);
        let ours = hub_forward_on(&inputs, &folder, Some(&adapter))?;
        let is_zero = |name: &str| ours[name].1.iter().all(|value| *value == 0.0);
        ensure!(ours.keys().all(|name| !is_zero(name)), "{head}: a head that gives nothing");
        ensure_same(&ours, &python_forward_on(&inputs, "adapters", &folder, Some(&adapter))?)?;
    }
    Ok(())
}

#[test]
fn loras_of_language_models_mean_the_same_in_peft() -> Result<()> {
    for base in ["llama-tied", "gpt2", "t5", "bart-scaled", "whisper"] {
        means_the_same_in("peft", base, &["--method", "lora", "--rank", "2"])?;
    }
    Ok(())
}

#[test]
fn other_methods_of_peft_mean_the_same_there() -> Result<()> {
    for method in ["ia3", "p-tuning", "llama-adapter", "adalora"] {
        let size: &[&str] = match method {
            "p-tuning" | "llama-adapter" => &["--prompt-length", "3"],
            _ => &[],
        };
        means_the_same_in("peft", "llama", &[&["--method", method], size].concat())?;
    }
    Ok(())
}

#[test]
fn prefixes_and_prompts_of_decoders_mean_the_same_in_peft() -> Result<()> {
    for base in ["llama", "gpt2", "bart-scaled"] {
        for method in ["prefix", "prefix-flat", "prompt"] {
            means_the_same_in("peft", base, &["--method", method, "--prompt-length", "3"])?;
        }
    }
    means_the_same_in("peft", "t5", &["--method", "prompt", "--prompt-length", "3"])
}

#[test]
fn bottlenecks_of_encoder_decoders_mean_the_same_in_adapters() -> Result<()> {
    // Not on Whisper: the version of `adapters` that runs here has it otherwise than 1.3, which the fixtures come from.
    for (base, method) in [("t5", "pfeiffer"), ("bart-scaled", "parallel")] {
        means_the_same_in("adapters", base, &["--method", method, "--reduction-factor", "2"])?;
    }
    Ok(())
}
