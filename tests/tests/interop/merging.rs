//! `hub merge`, `extract`, `bake` and `unbake`, judged by what `hub forward` then computes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use hub_tests::interop::{Tensors, ensure_same, fixture, hub, hub_forward, python_forward, read, succeed};
use safetensors::{Dtype, tensor::TensorView};

/// Runs `hub` in `home`.
fn run(home: &Path, arguments: &[&str]) -> Result<String> {
    let output = succeed(hub(home)?.args(arguments))?;
    Ok(String::from_utf8(output.stdout)?)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

fn adapter(case: &str) -> PathBuf {
    fixture(case).join("adapter")
}

/// The tensors of a folder in PEFT's format.
fn weights(folder: &Path) -> Result<Tensors> {
    read(&folder.join("adapter_model.safetensors"))
}

/// A copy of `tiny-bert` or of the classifier, every tensor changed by `change`.
fn changed(from: &Path, into: &Path, change: impl Fn(&str, usize, f32) -> f32) -> Result<()> {
    fs::create_dir_all(into)?;
    fs::copy(from.join("config.json"), into.join("config.json"))?;
    let tensors = read(&from.join("model.safetensors"))?;
    let bytes = |name: &str, values: &[f32]| -> Vec<u8> {
        values.iter().enumerate().flat_map(|(i, v)| change(name, i, *v).to_le_bytes()).collect()
    };
    let data: BTreeMap<&String, (&Vec<usize>, Vec<u8>)> =
        tensors.iter().map(|(name, (shape, values))| (name, (shape, bytes(name, values)))).collect();
    let views = data.iter().map(|(name, (shape, bytes))| {
        Ok((name.as_str(), TensorView::new(Dtype::F32, (*shape).clone(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    Ok(fs::write(into.join("model.safetensors"), safetensors::serialize(views, None)?)?)
}

/// Every file of a flat folder.
fn contents(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(folder)? {
        let item = item?;
        ensure!(item.file_type()?.is_file(), "`{}` is no file", item.path().display());
        found.insert(item.file_name().to_string_lossy().into_owned(), fs::read(item.path())?);
    }
    Ok(found)
}

/// `Σ wᵢ sᵢ Bᵢ Aᵢ` added to the weights of `tiny-bert` by hand.
fn by_hand(parts: &[(&Path, f64, f64)], into: &Path) -> Result<()> {
    let mut updates: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (folder, weight, scaling) in parts {
        let tensors = weights(folder)?;
        for (name, (a_shape, a)) in &tensors {
            let Some(layer) = name.strip_suffix(".lora_A.weight") else { continue };
            let (b_shape, b) = &tensors[&format!("{layer}.lora_B.weight")];
            let (rank, inputs, outputs) = (a_shape[0], a_shape[1], b_shape[0]);
            let path = layer.trim_start_matches("base_model.model.").trim_start_matches("bert.");
            let update =
                updates.entry(format!("{path}.weight")).or_insert_with(|| vec![0.0; inputs * outputs]);
            for i in 0..outputs {
                for j in 0..inputs {
                    let product = |k: usize| f64::from(b[i * rank + k]) * f64::from(a[k * inputs + j]);
                    update[i * inputs + j] += weight * scaling * (0..rank).map(product).sum::<f64>();
                }
            }
        }
    }
    changed(&fixture("tiny-bert"), into, |name, i, v| {
        let update = updates.get(name).map_or(0.0, |update| update[i]);
        (f64::from(v) + update) as f32
    })
}

/// `α / r`, or `α / √r`, of a folder that PEFT saved.
fn scaling(folder: &Path) -> Result<f64> {
    let json: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("adapter_config.json"))?)?;
    let (r, alpha) = (json["r"].as_f64().context("r")?, json["lora_alpha"].as_f64().context("alpha")?);
    Ok(if json["use_rslora"] == true { alpha / r.sqrt() } else { alpha / r })
}

/// The hidden states alone: one side may have a head.
fn states(mut tensors: Tensors) -> Tensors {
    tensors.retain(|name, _| name == "last_hidden_state");
    tensors
}

#[test]
fn a_merge_computes_what_the_formula_says_and_peft_agrees() -> Result<()> {
    let home = tempfile::tempdir()?;
    let (one, two) = (adapter("peft-lora-every-linear"), adapter("peft-rslora-one-layer"));
    by_hand(&[(&one, 0.7, scaling(&one)?), (&two, -0.3, scaling(&two)?)], &home.path().join("by-hand"))?;
    let expected = states(hub_forward(&home.path().join("by-hand"), None)?);
    let base = fixture("tiny-bert");
    for rule in [&["cat"][..], &["svd", "--rank", "16"][..]] {
        let out = home.path().join(rule[0]);
        let mut arguments =
            vec!["merge", text(&one)?, text(&two)?, "--weights", "0.7,-0.3", "--head", "none"];
        arguments.extend(["--base", text(&base)?, "-o", text(&out)?, "--rule"]);
        arguments.extend(rule);
        run(home.path(), &arguments)?;
        ensure_same(&states(hub_forward(&base, Some(&out))?), &expected)?;
        ensure_same(&states(python_forward("peft", &base, Some(&out))?), &expected)?;
    }
    Ok(())
}

#[test]
fn ties_keeps_the_elements_that_agree_with_the_majority() -> Result<()> {
    let home = tempfile::tempdir()?;
    let (one, out) = (adapter("peft-lora-every-linear"), home.path().join("merged"));
    // The second is the first with every sign of `B` turned, except where an index is even.
    let two = home.path().join("turned");
    fs::create_dir_all(&two)?;
    fs::copy(one.join("adapter_config.json"), two.join("adapter_config.json"))?;
    let tensors = weights(&one)?;
    let turned = |name: &str, i: usize, v: f32| if name.contains("lora_B") && i % 2 == 1 { -v } else { v };
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = (tensors.iter())
        .map(|(name, (shape, values))| {
            let bytes = values.iter().enumerate().flat_map(|(i, v)| turned(name, i, *v).to_le_bytes());
            (name.clone(), shape.clone(), bytes.collect())
        })
        .collect();
    let views = data.iter().map(|(n, s, b)| Ok((n.as_str(), TensorView::new(Dtype::F32, s.clone(), b)?)));
    let views = views.collect::<Result<Vec<_>>>()?;
    fs::write(two.join("adapter_model.safetensors"), safetensors::serialize(views, None)?)?;

    let base = fixture("tiny-bert");
    let arguments =
        ["merge", text(&one)?, text(&two)?, "--rule", "ties", "--density", "1", "--weights", "3,1"];
    let rest = ["--base", text(&base)?, "-o", text(&out)?];
    run(home.path(), &[&arguments[..], &rest[..]].concat())?;
    // Weights 3 and 1 make √3 and 1 on each factor. Where both have one sign the result is the mean
    // of both. Else their unweighted sum is zero, which counts as positive: the positive one alone.
    let root = 3.0_f64.sqrt();
    let scale = scaling(&one)?.sqrt();
    for (name, (_, merged)) in weights(&out)?.iter().filter(|(name, _)| name.contains("lora_")) {
        let (_, original) = &tensors[name];
        for (i, (found, v)) in merged.iter().zip(original).enumerate() {
            let agree = name.contains("lora_A") || i % 2 == 0;
            let factor = match (agree, *v > 0.0) {
                (true, _) => f64::midpoint(root, 1.0),
                (false, true) => root,
                (false, false) => -1.0,
            };
            let expected = f64::from(*v) * scale * factor;
            ensure!((f64::from(*found) - expected).abs() < 1e-6, "{name} at {i}: {found}, not {expected}");
        }
    }
    Ok(())
}

#[test]
fn a_baked_backbone_computes_what_backbone_and_adapter_do_and_unbaking_gives_every_byte_back() -> Result<()> {
    let home = tempfile::tempdir()?;
    let (baked, again) = (home.path().join("baked"), home.path().join("again"));
    let (one, two) = (adapter("peft-lora-every-linear"), adapter("peft-rslora-one-layer"));
    let base = fixture("tiny-bert");
    run(home.path(), &["bake", "--base", text(&base)?, "--adapter", text(&one)?, "-o", text(&baked)?])?;
    let expected = hub_forward(&base, Some(&one))?;
    ensure_same(&states(hub_forward(&baked, None)?), &states(expected))?;
    run(home.path(), &["unbake", text(&baked)?, "-o", text(&again)?])?;
    ensure!(contents(&again)? == contents(&base)?);

    // Several at once, with weights, equal the sum by hand.
    let both = home.path().join("both");
    let adapters = ["--adapter", text(&one)?, "--adapter", text(&two)?, "--weights", "-0.5,2"];
    let rest = ["bake", "--base", text(&base)?, "-o", text(&both)?];
    run(home.path(), &[&rest[..], &adapters[..]].concat())?;
    by_hand(&[(&one, -0.5, scaling(&one)?), (&two, 2.0, scaling(&two)?)], &home.path().join("by-hand"))?;
    ensure_same(&hub_forward(&both, None)?, &hub_forward(&home.path().join("by-hand"), None)?)
}

#[test]
fn the_logits_of_a_baked_backbone_with_its_head_are_those_of_the_adapter() -> Result<()> {
    let home = tempfile::tempdir()?;
    let (baked, head) = (home.path().join("baked"), home.path().join("head"));
    let (base, lora) = (fixture("tiny-bert"), adapter("peft-lora-classifier"));
    let heads = ["--head-output", text(&head)?];
    let arguments = ["bake", "--base", text(&base)?, "--adapter", text(&lora)?, "-o", text(&baked)?];
    run(home.path(), &[&arguments[..], &heads[..]].concat())?;
    let found = hub_forward(&baked, Some(&head))?;
    ensure!(found.contains_key("logits"));
    ensure_same(&found, &hub_forward(&base, Some(&lora))?)?;

    // A checkpoint's own classifier stays with its backbone.
    let (base, baked) = (fixture("tiny-bert-classifier"), home.path().join("baked-classifier"));
    let lora = adapter("peft-lora-every-linear");
    run(home.path(), &["bake", "--base", text(&base)?, "--adapter", text(&lora)?, "-o", text(&baked)?])?;
    let found = hub_forward(&baked, None)?;
    ensure!(found.contains_key("logits"));
    ensure_same(&found, &hub_forward(&base, Some(&lora))?)
}

#[test]
fn what_fine_tuning_did_is_extracted_whole_with_its_head() -> Result<()> {
    let home = tempfile::tempdir()?;
    let (base, tuned, out) = (fixture("tiny-bert"), home.path().join("tuned"), home.path().join("out"));
    // Every tensor is tuned: linear layers, biases, norms, embeddings.
    let tune = |_: &str, i: usize, v: f32| v + 0.05 * ((i * 37 % 17) as f32 / 8.0 - 1.0);
    changed(&fixture("tiny-bert-classifier"), &tuned, tune)?;
    let arguments = ["extract", "--base", text(&base)?, "--tuned", text(&tuned)?, "--rank", "16"];
    let rest = ["--keep-others", "-o", text(&out)?, "--format", "json"];
    let said: serde_json::Value =
        serde_json::from_str(&run(home.path(), &[&arguments[..], &rest[..]].concat())?)?;
    ensure!(said["retained"].as_f64().context("a share")? > 1.0 - 1e-9, "{said}");
    ensure!(said["head"]["type"] == "classification", "{said}");
    ensure_same(&hub_forward(&base, Some(&out))?, &hub_forward(&tuned, None)?)
}

#[test]
fn an_extracted_lora_is_the_one_that_was_baked_in_and_peft_reads_it() -> Result<()> {
    let home = tempfile::tempdir()?;
    let (baked, out) = (home.path().join("baked"), home.path().join("out"));
    let (base, lora) = (fixture("tiny-bert"), adapter("peft-rslora-one-layer"));
    run(home.path(), &["bake", "--base", text(&base)?, "--adapter", text(&lora)?, "-o", text(&baked)?])?;
    let arguments = ["extract", "--base", text(&base)?, "--tuned", text(&baked)?, "--rank", "8"];
    run(home.path(), &[&arguments[..], &["-o", text(&out)?][..]].concat())?;
    let expected = states(hub_forward(&base, Some(&lora))?);
    ensure_same(&states(hub_forward(&base, Some(&out))?), &expected)?;
    ensure_same(&states(python_forward("peft", &base, Some(&out))?), &expected)
}
