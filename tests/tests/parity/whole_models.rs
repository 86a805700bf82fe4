//! Files of heads in which `adapters` saved the whole model: refused where they would change it, and written again as
//! the head alone.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use candle_core::{DType, Device};
use hub_client::{
    backbones::Backbone,
    model::{Mode, StitchedModel},
    tensors::read_batch,
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder, convert_on};
use hub_schemas::layout::Format;
use safetensors::SafeTensors;
use tempfile::TempDir;

use super::cases::root;

const HEAD: &str = "model_head.safetensors";

/// The adapter of a case in a folder of its own.
fn copied(case: &str) -> Result<TempDir> {
    let (from, to) = (root().join("cases").join(case).join("adapter"), TempDir::new()?);
    for item in fs::read_dir(from)? {
        let item = item?;
        fs::copy(item.path(), to.path().join(item.file_name()))?;
    }
    Ok(to)
}

/// Changes the last number of a tensor by its smallest bit.
fn change(file: &Path, tensor: &str) -> Result<()> {
    let mut bytes = fs::read(file)?;
    let (header, _) = SafeTensors::read_metadata(&bytes)?;
    let info = SafeTensors::read_metadata(&bytes)?.1.tensors()[tensor].data_offsets;
    bytes[8 + header + info.1 - 4] ^= 1;
    fs::write(file, bytes)?;
    Ok(())
}

fn open(base: &str, folder: &Path) -> Result<StitchedModel> {
    let base = BaseFolder::open(&root().join("bases").join(base))?;
    let backbone = Arc::new(Backbone::load(&base, &Device::Cpu)?);
    Ok(StitchedModel::load(backbone, &AdapterFolder::open(folder)?)?)
}

/// Why a folder is not run on a base, without the places of either.
fn refusal(base: &str, folder: &Path) -> Result<String> {
    let message = open(base, folder).err().context("it is refused")?.to_string();
    let message = message.replace(&folder.display().to_string(), "DIR");
    Ok(message.replace(&root().join("bases").display().to_string(), "BASES"))
}

#[test]
fn one_other_number_of_the_backbone_or_of_the_adapter_is_refused_by_the_name_of_its_tensor() -> Result<()> {
    let mut messages = Vec::new();
    for tensor in [
        "encoder.layers.1.fc2.weight",
        "encoder.conv1.bias",
        "encoder.layers.0.output_adapters.adapters.probe.adapter_down.0.weight",
    ] {
        let folder = copied("whole-whisper")?;
        open("whisper-classifier", folder.path())?;
        change(&folder.path().join(HEAD), tensor)?;
        messages.push(refusal("whisper-classifier", folder.path())?);
    }
    let folder = copied("whole-whisper-weighted")?;
    change(&folder.path().join(HEAD), "layer_weights")?;
    messages.push(refusal("whisper-weighted", folder.path())?);
    insta::assert_snapshot!(messages.join("\n"));
    Ok(())
}

#[test]
fn a_whole_model_of_another_base_is_refused() -> Result<()> {
    let messages = [
        refusal("whisper-classifier", copied("whole-whisper-weighted")?.path())?,
        refusal("t5-bare", copied("whole-t5-texts")?.path())?,
        refusal("t5", copied("whole-t5-texts")?.path())?,
    ];
    insta::assert_snapshot!(messages.join("\n"));
    Ok(())
}

#[test]
fn what_another_adapter_of_the_composition_holds_otherwise_is_refused() -> Result<()> {
    let tensor = "encoder.layers.0.output_adapters.adapters.b.adapter_down.0.weight";
    let from = root().join("cases/whole-whisper-stack");
    let scratch = TempDir::new()?;
    for name in ["a", "b"] {
        fs::create_dir(scratch.path().join(name))?;
        for item in fs::read_dir(from.join(name))? {
            let item = item?;
            fs::copy(item.path(), scratch.path().join(name).join(item.file_name()))?;
        }
    }
    change(&scratch.path().join("a").join(HEAD), tensor)?;
    let folders = ["a", "b"].map(|name| AdapterFolder::open(&scratch.path().join(name)));
    let [a, b] = folders;
    let (a, b) = (a?, b?);
    let base = BaseFolder::open(&root().join("bases/whisper-classifier"))?;
    let backbone = Arc::new(Backbone::load(&base, &Device::Cpu)?);
    // Alone, the other one is none of its business.
    StitchedModel::load(backbone.clone(), &a)?;
    let named = [("a".to_owned(), &a), ("b".to_owned(), &b)];
    let error = StitchedModel::compose(backbone, &named, &[], &"Stack(a, b)".parse()?).err();
    let message = error.context("it is refused")?.to_string();
    let message = message.replace(&scratch.path().display().to_string(), "DIR");
    insta::assert_snapshot!(message);
    Ok(())
}

#[test]
fn without_a_base_model_to_compare_with_it_is_not_read() -> Result<()> {
    let base = BaseFolder::open(&root().join("bases/whisper-classifier"))?;
    let copy = copied("whole-whisper")?;
    let folder = AdapterFolder::open(copy.path())?;
    let shape = base.config().shape;
    let error = folder.read_slots(&shape).err().context("it is refused")?;
    assert_eq!(error.to_string(), folder.check_fit(&shape).err().context("it is refused")?.to_string());
    let message = format!("{error}\nhint: {}", error.hint().unwrap_or_default());
    insta::assert_snapshot!(message.replace(&copy.path().display().to_string(), "DIR"));
    Ok(())
}

#[test]
fn converted_it_is_the_head_alone_and_computes_the_same() -> Result<()> {
    for (case, base, inputs, format) in [
        ("whole-t5-texts", "t5-classifier", "t5-ends-source", Format::Adapters),
        ("whole-t5-texts", "t5-classifier", "t5-ends-source", Format::Peft),
        ("whole-t5-words", "t5-encoder", "t5-source", Format::Adapters),
        ("whole-mt5-texts", "mt5", "t5-ends", Format::Adapters),
        ("whole-whisper-weighted", "whisper-weighted", "recordings", Format::Peft),
        // Their own format holds it, which is no choice of `hub convert`.
        ("whole-whisper", "whisper-classifier", "recordings", Format::Hub),
        ("whole-whisper-prefix", "whisper-classifier", "recordings", Format::Hub),
    ] {
        let from = AdapterFolder::open(&root().join("cases").join(case).join("adapter"))?;
        let weights = BaseFolder::open(&root().join("bases").join(base))?;
        let scratch = TempDir::new()?;
        let to = scratch.path().join("written");
        convert_on(&from, (&weights.model(None)?, &weights), format, "written", &to)
            .with_context(|| format!("{case} as {format}"))?;
        // No file with the base model any more, and none is needed.
        let written = AdapterFolder::open(&to)?;
        written.read_slots(&weights.config().shape).with_context(|| format!("{case} as {format}"))?;

        let backbone = Arc::new(Backbone::load_with(&weights, DType::F64, &Device::Cpu)?);
        let batch =
            read_batch(&root().join(format!("inputs/{inputs}.safetensors")), weights.config(), &Device::Cpu)?;
        let logits = |folder: &AdapterFolder| -> Result<Vec<f64>> {
            let output = StitchedModel::load(backbone.clone(), folder)?.forward(&batch, Mode::Eval)?;
            let named = output.named()?.into_iter().find(|(name, _)| name == "logits");
            Ok(named.context("logits")?.1.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
        };
        let off =
            logits(&from)?.iter().zip(&logits(&written)?).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off <= 1e-12, "{case} as {format} is off by {off:e}");
    }
    Ok(())
}

#[test]
fn what_a_flexible_head_can_not_say_is_not_converted_into_one() -> Result<()> {
    let mut messages = Vec::new();
    for (case, base) in
        [("whole-whisper", "whisper-classifier"), ("whole-whisper-weighted", "whisper-weighted")]
    {
        let from = AdapterFolder::open(&root().join("cases").join(case).join("adapter"))?;
        let weights = BaseFolder::open(&root().join("bases").join(base))?;
        let scratch = TempDir::new()?;
        let to = scratch.path().join("written");
        let error = convert_on(&from, (&weights.model(None)?, &weights), Format::Adapters, "written", &to);
        messages.push(error.err().context("it is refused")?.to_string());
    }
    insta::assert_snapshot!(messages.join("\n"), @r"
    the adapters format can't hold a `classification` head with a layer of 10, another width than the states'
    the adapters format can't hold a `classification` head on another token than the library reads
    ");
    Ok(())
}
