//! Text from language models: with keys and values kept, and as the library writes it.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Tensor};
use hub_client::{
    backbones::{Backbone, HeadInputs},
    checkpoint::{AdapterFolder, BaseFolder},
    generation::Cache,
    model::{Batch, Mode, StitchedModel},
    tasks::argmax,
};
use serde_json::Value;

fn fixtures(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

fn backbone(base: &str) -> Result<Arc<Backbone>> {
    let folder = BaseFolder::open(&fixtures(&format!("methods/bases/{base}")))?;
    Ok(Arc::new(Backbone::load_with(&folder, DType::F64, &Device::Cpu)?))
}

/// Scores behind the last of `ids`, everything computed again.
fn afresh(model: &StitchedModel, ids: &[u32]) -> Result<Vec<f32>> {
    let shape = (1, ids.len());
    let batch = Batch {
        input_ids: Tensor::from_slice(ids, shape, &Device::Cpu)?,
        attention_mask: Tensor::ones(shape, DType::U32, &Device::Cpu)?,
        token_type_ids: None,
        head_inputs: HeadInputs::default(),
        signal: None,
        decoder: None,
    };
    let output = model.forward(&batch, Mode::Eval)?;
    let logits = output.logits().context("scores")?;
    let last = logits.dim(1)? - 1;
    Ok(logits.narrow(1, last, 1)?.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?)
}

/// Twelve tokens, each the best one; fails where the cache changes a score.
fn generate_both_ways(model: &StitchedModel, name: &str) -> Result<()> {
    let mut ids = vec![5, 9, 2, 17, 8];
    let cache = Cache::default();
    let mut unread = ids.len();
    for _ in 0..12 {
        let cached = model.next_token_scores(&ids[ids.len() - unread..], &cache)?;
        let whole = afresh(model, &ids)?;
        let apart = cached.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{name}: {apart} apart behind {} tokens", ids.len());
        ids.push(argmax(&whole));
        unread = 1;
    }
    Ok(())
}

#[test]
fn plain_decoders_write_the_same_with_and_without_what_they_have_kept() -> Result<()> {
    let windows = ["mistral-window", "qwen2-window", "gemma2", "gemma2-open"];
    let bases = ["gpt2", "llama", "llama-tied", "llama-yarn", "mistral", "qwen2", "qwen3", "gemma"];
    for base in bases.into_iter().chain(windows) {
        generate_both_ways(&StitchedModel::plain(backbone(base)?)?, base)?;
    }
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

#[test]
fn the_best_tokens_are_those_of_transformers() -> Result<()> {
    let golden: Value = serde_json::from_slice(&std::fs::read(fixtures("generation/golden.json"))?)?;
    let numbers = |value: &Value| -> Vec<u32> {
        value.as_array().into_iter().flatten().filter_map(Value::as_u64).map(|id| id as u32).collect()
    };
    for (case, expected) in golden["cases"].as_object().context("cases")? {
        let (base, settings) = case.split_once(' ').context("a base and its settings")?;
        let penalty = if settings == "penalty" { 1.7 } else { 1.0 };
        let model = StitchedModel::plain(backbone(base)?)?;
        let (mut ids, cache) = (numbers(&golden["prompt"]), Cache::default());
        let start = ids.len();
        let sampling = hub_client::generation::Sampling { repetition_penalty: penalty, ..Default::default() };
        let mut random = sampling.generator();
        let mut unread = start;
        for _ in 0..16 {
            let scores = model.next_token_scores(&ids[ids.len() - unread..], &cache)?;
            ids.push(sampling.choose(&scores, &ids, &mut random));
            unread = 1;
        }
        assert_eq!(ids[start..], numbers(expected), "{case}");
    }
    Ok(())
}
