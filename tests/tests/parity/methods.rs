//! Every method, composition and head of the Python libraries, as folders that they
//! wrote, against what they compute. See `tests/fixtures/methods/README.md`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{DType, Device, Tensor};
use hub_client::{
    backbones::Backbone,
    composition::Composition,
    model::{Mode, StitchedModel},
    tensors::{read_batch, view_of},
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder, FusionFolder};
use serde::Deserialize;
use serde_json::Value;

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

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    library: String,
    base: String,
    adapters: BTreeMap<String, String>,
    fusions: Vec<String>,
    compose: Option<String>,
    inputs: String,
    expect: String,
    forward_args: ForwardArgs,
}

/// Arguments of the forward pass that are no tensors.
#[derive(Deserialize, Default)]
struct ForwardArgs {
    task_ids: Option<Vec<String>>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods")
}

/// What the project does not compute yet, one name per line: the list may only shrink.
fn not_yet() -> Vec<String> {
    let text = fs::read_to_string(root().join("NOT-YET.txt")).expect("reads");
    text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(ToOwned::to_owned).collect()
}

impl Case {
    fn folder(&self) -> PathBuf {
        root().join("cases").join(&self.name)
    }

    /// Tensors by name.
    fn run(&self, dtype: DType) -> Result<BTreeMap<String, Tensor>, Box<dyn std::error::Error>> {
        let inputs = root().join(&self.inputs);
        let base = BaseFolder::open_as(&root().join("bases").join(&self.base), view_of(&inputs)?)?;
        let device = hub_tests::device();
        let mut batch = read_batch(&inputs, base.config(), &device)?;
        let backbone = Arc::new(Backbone::load_with(&base, dtype, &device)?);
        let folders = self
            .adapters
            .iter()
            .map(|(name, folder)| Ok((name.clone(), AdapterFolder::open(&self.folder().join(folder))?)));
        let folders =
            folders.collect::<Result<Vec<(String, AdapterFolder)>, Box<dyn std::error::Error>>>()?;
        let named: Vec<(String, &AdapterFolder)> = folders.iter().map(|(n, f)| (n.clone(), f)).collect();
        let fusions = self.fusions.iter().map(|folder| FusionFolder::open(&self.folder().join(folder)));
        let fusions = fusions.collect::<Result<Vec<_>, _>>()?;
        let model = match (&self.compose, named.as_slice()) {
            (Some(expression), _) => {
                StitchedModel::compose(backbone, &named, &fusions, &expression.parse::<Composition>()?)?
            }
            (None, []) => StitchedModel::plain(backbone)?,
            (None, [(_, folder), ..]) => StitchedModel::load(backbone, folder)?,
        };
        if let Some(tasks) = &self.forward_args.task_ids {
            let known = model.tasks();
            let number = |task: &String| known.iter().position(|k| k == task);
            batch.head_inputs.tasks = tasks.iter().map(number).collect();
        }
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
    let text = fs::read_to_string(root().join("cases.json")).expect("reads");
    let Cases { cases } = serde_json::from_str(&text).expect("the list of cases");
    assert!(cases.len() > 300, "{} cases", cases.len());
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
