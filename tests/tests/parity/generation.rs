//! Text from language models: with keys and values kept, and as the library writes it.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Tensor};
use hub_client::{
    backbones::{Backbone, Compute, DecoderInputs},
    generation::{Cache, GenerationOptions, Generator, Sampling},
    model::{Batch, Mode, StitchedModel},
    predict::Assembly,
    tasks::argmax,
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder};
use hub_tests::words::write_base_of_words;
use serde_json::{Value, json};

pub(crate) fn fixtures(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

fn backbone(base: &str) -> Result<Arc<Backbone>> {
    let folder = BaseFolder::open(&fixtures(&format!("methods/bases/{base}")))?;
    Ok(Arc::new(Backbone::load_with(&folder, DType::F64, &Device::Cpu)?))
}

/// Scores behind the last of `ids`, everything computed again.
fn afresh(model: &StitchedModel, ids: &[u32]) -> Result<Vec<f32>> {
    let batch = Batch::unpadded(Tensor::from_slice(ids, (1, ids.len()), &Device::Cpu)?)?;
    let output = model.forward(&batch, Mode::Eval)?;
    let logits = output.logits().context("scores")?;
    let last = logits.dim(1)? - 1;
    Ok(logits.narrow(1, last, 1)?.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?)
}

/// The base `llama` with other angles for long texts.
fn llama_with(scaling: &Value) -> Result<Arc<Backbone>> {
    let folder = tempfile::tempdir()?;
    let from = fixtures("methods/bases/llama");
    let mut config: Value = serde_json::from_slice(&std::fs::read(from.join("config.json"))?)?;
    config["rope_scaling"] = scaling.clone();
    std::fs::write(folder.path().join("config.json"), config.to_string())?;
    std::fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors"))?;
    Ok(Arc::new(Backbone::load_with(&BaseFolder::open(folder.path())?, DType::F64, &Device::Cpu)?))
}

/// Twelve tokens, each the best one: how far the cache moves a score at most, and behind how many tokens.
fn apart_both_ways(model: &StitchedModel) -> Result<(f32, usize)> {
    let mut ids = vec![5, 9, 2, 17, 8];
    let cache = Cache::default();
    let (mut unread, mut worst) = (ids.len(), (0.0, 0));
    for _ in 0..12 {
        let cached = model.next_token_scores(&ids[ids.len() - unread..], &cache)?;
        let whole = afresh(model, &ids)?;
        let apart = cached.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if apart > worst.0 {
            worst = (apart, ids.len());
        }
        ids.push(argmax(&whole));
        unread = 1;
    }
    Ok(worst)
}

/// Fails where the cache changes a score.
fn generate_both_ways(model: &StitchedModel, name: &str) -> Result<()> {
    let (apart, tokens) = apart_both_ways(model)?;
    assert!(apart < 1e-5, "{name}: {apart} apart behind {tokens} tokens");
    Ok(())
}

#[test]
fn plain_decoders_write_the_same_with_and_without_what_they_have_kept() -> Result<()> {
    let windows = ["mistral-window", "qwen2-window", "gemma2", "gemma2-open"];
    let bases = ["gpt2", "llama", "llama-tied", "llama-yarn", "mistral", "qwen2", "qwen3", "gemma"];
    for base in bases.into_iter().chain(windows) {
        generate_both_ways(&StitchedModel::plain(backbone(base)?)?, base)?;
    }
    let linear = json!({"rope_type": "linear", "factor": 4.0});
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16});
    // Within the context of pre-training.
    let dynamic = json!({"rope_type": "dynamic", "factor": 2.0});
    for (name, scaling) in [("linear", linear), ("llama3", llama3), ("dynamic", dynamic)] {
        generate_both_ways(&StitchedModel::plain(llama_with(&scaling)?)?, name)?;
    }
    Ok(())
}

/// Beyond the context of pre-training every length has angles of its own, and a key that is kept has those of the length
/// at which it was read. So it is in the library, whose tokens these are; everything computed afresh would be another text.
#[test]
fn angles_that_grow_stay_in_what_was_kept_as_they_were() -> Result<()> {
    let golden: Value = serde_json::from_slice(&std::fs::read(fixtures("generation/golden.json"))?)?;
    let growing = &golden["growing"];
    let model = StitchedModel::plain(backbone(growing["base"].as_str().context("a base")?)?)?;
    let (cache, mut unread, mut found) = (Cache::default(), numbers(&golden["prompt"]), Vec::new());
    for _ in 0..golden["new_tokens"].as_u64().context("a number")? {
        found.push(argmax(&model.next_token_scores(&unread, &cache)?));
        unread = found[found.len() - 1..].to_vec();
    }
    assert_eq!(found, numbers(&growing["tokens"]));
    let (apart, tokens) = apart_both_ways(&model)?;
    assert!(apart > 1e-3, "only {apart} apart, behind {tokens} tokens");
    Ok(())
}

#[test]
fn adapters_write_the_same_with_and_without_what_was_kept() -> Result<()> {
    let cases = [
        ("gpt2", "peft-lora-gpt2-all"),
        ("gpt2", "peft-ia3-gpt2"),
        ("gpt2", "peft-prefix-gpt2"),
        ("gpt2", "peft-adaption-gpt2-1"),
        ("llama", "peft-lora-llama-dora"),
        ("llama", "peft-prompt-llama"),
        ("llama", "peft-prefix-llama"),
        ("llama", "peft-adaption-llama-2"),
        ("llama-tied", "peft-llama-tied-lora-both"),
        ("llama-tied", "peft-llama-tied-tokens"),
        ("qwen3", "peft-prefix-qwen3"),
        ("gemma", "peft-prompt-gemma"),
        ("gemma", "peft-lora-gemma"),
        ("gemma2", "peft-gemma2-prefix"),
        ("gemma2", "peft-gemma2-prompt"),
        ("mistral-window", "peft-mistral-window-prefix"),
    ];
    for (base, case) in cases {
        let folder = AdapterFolder::open(&fixtures(&format!("methods/cases/{case}/adapter")))?;
        generate_both_ways(&StitchedModel::load(backbone(base)?, &folder)?, case)?;
    }
    Ok(())
}

/// The same behind an encoder that has read the prompt. `hides` where the library's mask hides prefixes from a pass over
/// several tokens, and not from those that are written: then all tokens are read anew instead.
fn generate_both_ways_behind_an_encoder(model: &StitchedModel, name: &str, hides: bool) -> Result<()> {
    let batch = Batch::unpadded(Tensor::new(&[[7_u32, 3, 12, 30, 5, 1]], &Device::Cpu)?)?;
    write_both_ways_behind(model, &batch, name, hides)
}

fn write_both_ways_behind(model: &StitchedModel, batch: &Batch, name: &str, hides: bool) -> Result<()> {
    let cache = model.read(batch)?;
    let (mut ids, mut unread) = (vec![2_u32, 9, 4], 3);
    for _ in 0..10 {
        let cached = model.next_token_scores(&ids[ids.len() - unread..], &cache)?;
        let answer = Tensor::from_slice(&ids, (1, ids.len()), &Device::Cpu)?;
        let whole = Batch { decoder: Some(DecoderInputs::unpadded(answer)?), ..batch.clone() };
        let last = if hides {
            model.next_token_scores(&ids, &model.read(batch)?)?
        } else {
            let logits = model.forward(&whole, Mode::Eval)?.logits().context("scores")?.clone();
            logits.narrow(1, ids.len() - 1, 1)?.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?
        };
        let apart = cached.iter().zip(&last).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{name}: {apart} apart behind {} tokens", ids.len());
        ids.push(argmax(&last));
        unread = 1;
    }
    Ok(())
}

#[test]
fn encoder_decoders_write_the_same_with_and_without_what_was_kept() -> Result<()> {
    for base in ["t5", "t5-flan", "t5-silu", "mt5", "bart", "bart-scaled", "mbart"] {
        generate_both_ways_behind_an_encoder(&StitchedModel::plain(backbone(base)?)?, base, false)?;
    }
    let cases = [
        ("t5", "peft-t5-lora-all"),
        ("t5", "t5-double"),
        ("t5", "t5-par"),
        ("t5-flan", "peft-t5-flan-ia3"),
        ("t5-flan", "t5-flan-lora"),
        ("bart", "peft-bart-dora"),
        ("bart", "peft-bart-lora-head"),
        ("bart", "bart-seq"),
        ("bart", "bart-par"),
        ("bart", "bart-prefix"),
        ("bart", "peft-bart-prefix"),
        ("bart", "bart-mam"),
        ("t5", "t5-prefix-without-cross"),
        ("t5", "peft-t5-prefix"),
        ("t5", "peft-t5-p-tuning"),
        ("t5", "t5-invertible"),
    ];
    for (base, case) in cases {
        let folder = AdapterFolder::open(&fixtures(&format!("methods/cases/{case}/adapter")))?;
        let hides = folder.semantics().masks_prefixes;
        generate_both_ways_behind_an_encoder(&StitchedModel::load(backbone(base)?, &folder)?, case, hides)?;
    }
    Ok(())
}

#[test]
fn a_recording_is_written_down_the_same_with_and_without_what_was_kept() -> Result<()> {
    let folder = BaseFolder::open_whole(&fixtures("methods/bases/whisper"))?;
    let number = |key: &str| folder.json()[key].as_u64().map(|value| value as usize).context("a number");
    let (mels, positions) = (number("num_mel_bins")?, number("max_source_positions")?);
    let backbone = Arc::new(Backbone::load_with(&folder, DType::F64, &Device::Cpu)?);
    let wave = (0..mels * 2 * positions).map(|at| (0.37 * at as f64).sin());
    let spectrogram = Tensor::from_iter(wave, &Device::Cpu)?.reshape((1, mels, 2 * positions))?;
    let batch = || Batch::of_recordings(spectrogram.clone(), positions);
    write_both_ways_behind(&StitchedModel::plain(backbone.clone())?, &batch()?, "whisper", false)?;
    for case in ["peft-transcriber-dora", "peft-transcriber-ia3", "transcriber-seq", "transcriber-prefix"] {
        let adapter = AdapterFolder::open(&fixtures(&format!("methods/cases/{case}/adapter")))?;
        let hides = adapter.semantics().masks_prefixes;
        write_both_ways_behind(&StitchedModel::load(backbone.clone(), &adapter)?, &batch()?, case, hides)?;
    }
    Ok(())
}

#[test]
fn tokens_are_drawn_from_what_transformers_leaves() -> Result<()> {
    let golden: Value = serde_json::from_slice(&std::fs::read(fixtures("generation/sampling.json"))?)?;
    for case in golden.as_array().context("cases")? {
        let number = |key: &str| case[key].as_f64();
        let sampling = Sampling {
            temperature: number("temperature").context("a temperature")?,
            top_k: case["top_k"].as_u64().map(|most| most as usize),
            top_p: number("top_p").context("a share")?,
            seed: 0,
        };
        let scores: Vec<f64> =
            case["scores"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let found = sampling.drawn(&scores);
        let expected = case["drawn"].as_object().context("probabilities")?;
        assert_eq!(found.len(), expected.len(), "{sampling:?}");
        for (token, probability) in found {
            let apart = expected[&token.to_string()].as_f64().context("a probability")? - probability;
            assert!(apart.abs() < 1e-12, "{sampling:?}: token {token} is {apart:e} off");
        }
    }
    Ok(())
}

/// A list of tokens.
pub(crate) fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().into_iter().flatten().filter_map(Value::as_u64).map(|id| id as u32).collect()
}

/// The generator of a case: a base, with the adapter that the case names.
pub(crate) fn generator(base: &Path, case: &Value) -> Result<Generator> {
    let adapter = case["adapter"].as_str().map(|case| fixtures(&format!("methods/cases/{case}/adapter")));
    let adapter = adapter.map(|path| AdapterFolder::open(&path)).transpose()?;
    let assembly = adapter.as_ref().map(Assembly::of);
    Ok(Generator::assemble(base, assembly.as_ref(), &Compute::EXACT)?)
}

#[test]
fn answers_are_those_of_transformers_token_for_token() -> Result<()> {
    let golden: Value = serde_json::from_slice(&std::fs::read(fixtures("generation/golden.json"))?)?;
    let new_tokens = golden["new_tokens"].as_u64().context("a number")? as usize;
    for (name, case) in golden["cases"].as_object().context("cases")? {
        let base = tempfile::tempdir()?;
        write_base_of_words(base.path(), case["base"].as_str().context("a base")?, &case["settings"]);
        let generator = generator(base.path(), case)?;
        let options = GenerationOptions { max_new_tokens: new_tokens, ..generator.defaults().clone() };
        let ids = numbers(case.get("prompt").unwrap_or(&golden["prompt"]));
        let words: Vec<String> = ids.iter().map(|id| format!("w{id}")).collect();
        let prompt = generator.encode(&words.join(" "), false)?;
        let answer = generator.generate(&prompt, &options, &mut |_| {})?;
        assert_eq!(answer.tokens, numbers(&case["tokens"]), "{name}");
    }
    Ok(())
}
