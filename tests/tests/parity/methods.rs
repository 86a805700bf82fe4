//! Every method, composition and head of the Python libraries, as folders that they
//! wrote, against what they compute. See `tests/fixtures/methods/README.md`.

use std::{collections::BTreeMap, fs};

use candle_core::{DType, Device, Tensor};
use hub_client::model::Mode;
use serde_json::Value;

use super::cases::{Case, Loaded, all, root};

/// The largest difference that counts as equal, in double and in single precision.
const BARS: [(DType, f64); 2] = [(DType::F64, 1e-9), (DType::F32, 1e-4)];
/// What comes out of single precision in between.
const ROUNDED: f64 = 1e-5;
/// What PEFT computes in single precision, whatever the model's: the circles of C3A, the projections of DEFT, the
/// softmax over adaption prompts, and the logarithms by which VB-LoRA has its logits back from the weights it saved.
const ROUNDED_BY_PEFT: [&str; 4] = ["C3A", "DEFT", "ADAPTION_PROMPT", "VBLORA"];
/// How the bases begin for which `transformers` does: RMS norms, rotary angles, stretched positions, the softmax of
/// bounded scores, the scale of disentangled scores.
const ROUNDING: [&str; 9] =
    ["t5", "mt5", "llama", "mistral", "qwen", "gemma", "modernbert", "deberta", "dinov2"];

/// What the project does not compute yet, one name per line: the list may only shrink.
fn not_yet() -> Vec<String> {
    let text = fs::read_to_string(root().join("NOT-YET.txt")).expect("reads");
    text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(ToOwned::to_owned).collect()
}

impl Case {
    /// Tensors by name.
    fn run(&self, dtype: DType) -> Result<BTreeMap<String, Tensor>, Box<dyn std::error::Error>> {
        let Loaded { model, batch, .. } = self.load(dtype)?;
        let output = model.forward(&batch, Mode::Eval)?;
        let here = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_device(&Device::Cpu)?));
        output.named()?.into_iter().map(here).collect()
    }

    /// Whether the library computes a part of it in single precision.
    fn is_rounded(&self) -> bool {
        let is_by_peft = |folder: &String| {
            let config = fs::read(self.folder().join(folder).join("adapter_config.json")).expect("reads");
            let config: Value = serde_json::from_slice(&config).expect("JSON");
            config["peft_type"].as_str().is_some_and(|kind| ROUNDED_BY_PEFT.contains(&kind))
        };
        ROUNDING.iter().any(|own| self.base.starts_with(own))
            || self.library == "peft" && self.adapters.values().any(is_by_peft)
    }

    /// Why this case fails, if it does.
    fn check(&self) -> Option<String> {
        for (dtype, bar) in BARS {
            let outcome = self.run(dtype);
            if self.expect == "refused" {
                return outcome.is_ok().then(|| "was not refused".to_owned());
            }
            let found = match outcome {
                Ok(found) => found,
                Err(error) => return Some(error.to_string()),
            };
            let bar = if dtype == DType::F64 && self.is_rounded() { ROUNDED } else { bar };
            let expected =
                candle_core::safetensors::load(self.folder().join("expected.safetensors"), &Device::Cpu)
                    .expect("the expected tensors load");
            for (name, expected) in &expected {
                let Some(found) = found.get(name) else { return Some(format!("`{name}` is missing")) };
                if found.dims() != expected.dims() {
                    return Some(format!("`{name}` is {:?}, expected {:?}", found.dims(), expected.dims()));
                }
                let worst = difference(found, expected).expect("compares");
                if worst.is_nan() || worst > bar {
                    return Some(format!("`{name}` is off by {worst:e} in {dtype:?}"));
                }
            }
        }
        None
    }
}

fn difference(a: &Tensor, b: &Tensor) -> candle_core::Result<f64> {
    (a.to_dtype(DType::F64)? - b.to_dtype(DType::F64)?)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()
}

#[test]
fn everything_that_the_python_libraries_write_computes_the_same_here() {
    let cases = all();
    let not_yet = not_yet();
    let failed: Vec<String> = (cases.iter())
        .filter(|case| !not_yet.contains(&case.name))
        .filter_map(|case| Some(format!("{}: {}", case.name, case.check()?)))
        .collect();
    assert!(failed.is_empty(), "{} of {} cases fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
    let works: Vec<&str> = (cases.iter())
        .filter(|case| not_yet.contains(&case.name) && case.check().is_none())
        .map(|case| case.name.as_str())
        .collect();
    assert!(works.is_empty(), "these work now; take them off NOT-YET.txt: {}", works.join(" "));
}
