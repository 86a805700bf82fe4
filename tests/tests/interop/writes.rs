//! Folders that we write, through the real libraries.

use std::path::Path;

use anyhow::Result;
use hub_formats::checkpoint::{AdapterFolder, BaseFolder, convert};
use hub_schemas::layout::Format;
use hub_tests::interop::{ensure_same, fixture, hub, hub_forward, python_forward, read, succeed};

/// A fixture's adapter, written again in a format, gives the fixture's numbers in that format's library.
fn survives(case: &str, format: Format) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let written = scratch.path().join("written");
    let base = BaseFolder::open(&fixture("tiny-bert"))?.model(None)?;
    convert(&AdapterFolder::open(&fixture(case).join("adapter"))?, &base, format, "other-name", &written)?;
    let theirs = python_forward(&format.to_string(), &fixture("tiny-bert"), Some(&written))?;
    ensure_same(&theirs, &read(&fixture(case).join("expected.safetensors"))?)
}

#[test]
fn peft_takes_back_a_lora_with_its_classifier() -> Result<()> {
    survives("peft-lora-classifier", Format::Peft)
}

#[test]
fn peft_takes_back_a_rank_stabilised_lora_on_one_layer() -> Result<()> {
    survives("peft-rslora-one-layer", Format::Peft)
}

#[test]
fn peft_takes_back_a_lora_on_every_linear() -> Result<()> {
    survives("peft-lora-every-linear", Format::Peft)
}

#[test]
fn adapters_takes_back_a_pfeiffer_bottleneck_with_its_head() -> Result<()> {
    survives("adapters-pfeiffer", Format::Adapters)
}

#[test]
fn adapters_takes_back_a_houlsby_bottleneck_with_its_head() -> Result<()> {
    survives("adapters-houlsby", Format::Adapters)
}

#[test]
fn adapters_takes_back_a_bottleneck_variant() -> Result<()> {
    survives("adapters-bottleneck-variant", Format::Adapters)
}

#[test]
fn adapters_takes_back_a_lora() -> Result<()> {
    survives("adapters-lora", Format::Adapters)
}

#[test]
fn a_peft_lora_becomes_one_for_adapters() -> Result<()> {
    survives("peft-lora-classifier", Format::Adapters)
}

/// Sentences whose label a tiny model can learn, in the words of the fixtures' tokenizer.
const SENTENCES: &str = "\
text,label
the film was great,positive
the movie is good and bright,positive
a fine story,positive
the cast was very good,positive
a great plot and a bright cast,positive
the story is never dull,positive
the film was bad,negative
the movie is dull and slow,negative
a poor story,negative
the cast was very bad,negative
a slow plot and a poor cast,negative
the story is never good,negative
";

/// Trains on the tiny backbone; returns the adapter's folder.
fn train(home: &Path, method: &[&str]) -> Result<std::path::PathBuf> {
    let (data, out) = (home.join("sentences.csv"), home.join("trained"));
    std::fs::write(&data, SENTENCES)?;
    let mut command = hub(home)?;
    command
        .arg("train")
        .arg("--base")
        .arg(fixture("tiny-bert"))
        .arg("--data")
        .arg(&data)
        .arg("--output")
        .arg(&out);
    command.args([
        "--validation",
        "sentences.csv",
        "--task",
        "sentiment",
        "--epochs",
        "4",
        "--batch-size",
        "4",
    ]);
    command.args(["--lr", "0.02", "--seed", "5"]).args(method);
    succeed(&mut command)?;
    Ok(out)
}

/// What `hub train` wrote gives the same logits in the library of its format as in `hub forward`.
fn trained_means_the_same_in(library: &str, method: &[&str]) -> Result<()> {
    let home = tempfile::tempdir()?;
    let (base, adapter) = (fixture("tiny-bert"), train(home.path(), method)?);
    let theirs = python_forward(library, &base, Some(&adapter))?;
    assert!(theirs.contains_key("logits"), "the library found the head");
    ensure_same(&hub_forward(&base, Some(&adapter))?, &theirs)
}

#[test]
fn a_trained_lora_means_the_same_in_peft() -> Result<()> {
    trained_means_the_same_in("peft", &["--method", "lora", "--rank", "4"])
}

#[test]
fn a_trained_pfeiffer_bottleneck_means_the_same_in_adapters() -> Result<()> {
    trained_means_the_same_in(
        "adapters",
        &["--method", "pfeiffer", "--reduction-factor", "4", "--pooling", "first"],
    )
}

#[test]
fn a_trained_houlsby_bottleneck_means_the_same_in_adapters() -> Result<()> {
    trained_means_the_same_in(
        "adapters",
        &["--method", "houlsby", "--reduction-factor", "4", "--pooling", "pooler"],
    )
}
