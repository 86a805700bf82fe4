//! What PEFT wrote with rows and columns exchanged is written so again.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder, convert};
use hub_schemas::layout::Format;
use safetensors::SafeTensors;
use serde_json::Value;

fn json(path: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// The parameters that a configuration names, each by its end.
fn parameters(folder: &Path) -> Result<BTreeSet<String>> {
    let config = json(&folder.join("adapter_config.json"))?;
    let names = config["target_parameters"].as_array().cloned().unwrap_or_default();
    let end = |name: &Value| {
        let parts: Vec<&str> = name.as_str()?.rsplit('.').take(2).collect();
        Some(format!("{}.{}", parts.get(1)?, parts.first()?))
    };
    Ok(names.iter().filter_map(end).collect())
}

#[test]
fn what_lies_transposed_in_a_file_of_peft_does_so_when_it_is_written_again() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods");
    for (case, base) in [
        ("peft-lora-parameters-gpt2", "gpt2"),
        ("peft-lora-parameters-table", "llama"),
        ("peft-lora-gpt2-saved", "gpt2"),
        ("peft-lora-gpt2-saved-square", "gpt2"),
    ] {
        let from = root.join("cases").join(case).join("adapter");
        let base = BaseFolder::open(&root.join("bases").join(base))?.model(None)?;
        let scratch = tempfile::tempdir()?;
        let to = scratch.path().join("written");
        convert(&AdapterFolder::open(&from)?, &base, Format::Peft, "written", &to)?;

        let [before, after] = [&from, &to].map(|folder| fs::read(folder.join("adapter_model.safetensors")));
        let (before, after) = (before?, after?);
        let (before, after) = (SafeTensors::deserialize(&before)?, SafeTensors::deserialize(&after)?);
        let names =
            |file: &SafeTensors<'_>| file.names().into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(names(&after), names(&before), "{case}");
        for name in before.names() {
            let (is, was) = (after.tensor(name)?, before.tensor(name)?);
            assert_eq!(is.shape(), was.shape(), "{case}: {name}");
            assert!(is.data() == was.data(), "{case}: {name}");
        }
        assert_eq!(parameters(&to)?, parameters(&from)?, "{case}");
        let named = json(&to.join("adapter_config.json"))?;
        named["target_modules"].as_array().context("a list, or PEFT adapts its own choice besides")?;
    }
    Ok(())
}
