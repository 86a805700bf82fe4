//! The cases of `tests/fixtures/methods`: folders that the Python libraries wrote, and how they are loaded here.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::DType;
use hub_client::{
    backbones::{Backbone, Batch},
    composition::Composition,
    model::StitchedModel,
    tensors::{read_batch, view_of},
};
use hub_formats::checkpoint::{AdapterFolder, BaseFolder, FusionFolder};
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) library: String,
    pub(super) base: String,
    pub(super) adapters: BTreeMap<String, String>,
    fusions: Vec<String>,
    pub(super) compose: Option<String>,
    inputs: String,
    pub(super) expect: String,
    /// How far the library itself is off in single precision.
    #[serde(default)]
    pub(super) float32_error: f64,
    forward_args: ForwardArgs,
}

/// Arguments of the forward pass that are no tensors.
#[derive(Deserialize, Default)]
struct ForwardArgs {
    task_ids: Option<Vec<String>>,
}

/// A case that can run.
pub(super) struct Loaded {
    pub(super) model: StitchedModel,
    pub(super) batch: Batch,
    pub(super) folders: Vec<AdapterFolder>,
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/methods")
}

pub(super) fn all() -> Vec<Case> {
    let text = fs::read_to_string(root().join("cases.json")).expect("reads");
    let Cases { cases } = serde_json::from_str(&text).expect("the list of cases");
    assert!(cases.len() > 300, "{} cases", cases.len());
    cases
}

impl Case {
    pub(super) fn folder(&self) -> PathBuf {
        root().join("cases").join(&self.name)
    }

    pub(super) fn load(&self, dtype: DType) -> Result<Loaded, Box<dyn Error>> {
        let inputs = root().join(&self.inputs);
        let base = BaseFolder::open_as(&root().join("bases").join(&self.base), view_of(&inputs)?)?;
        let device = hub_tests::device();
        let mut batch = read_batch(&inputs, base.config(), &device)?;
        let backbone = Arc::new(Backbone::load_with(&base, dtype, &device)?);
        let folders = self.adapters.values().map(|folder| AdapterFolder::open(&self.folder().join(folder)));
        let folders = folders.collect::<Result<Vec<_>, _>>()?;
        let named: Vec<(String, &AdapterFolder)> = self.adapters.keys().cloned().zip(&folders).collect();
        let fusions = self.fusions.iter().map(|folder| FusionFolder::open(&self.folder().join(folder)));
        let fusions = fusions.collect::<Result<Vec<_>, _>>()?;
        let model = match (&self.compose, folders.as_slice()) {
            (Some(expression), _) => {
                StitchedModel::compose(backbone, &named, &fusions, &expression.parse::<Composition>()?)?
            }
            (None, []) => StitchedModel::plain(backbone)?,
            (None, [folder, ..]) => StitchedModel::load(backbone, folder)?,
        };
        if let Some(tasks) = &self.forward_args.task_ids {
            let known = model.tasks();
            let number = |task: &String| known.iter().position(|k| k == task);
            batch.head_inputs.tasks = tasks.iter().map(number).collect();
        }
        Ok(Loaded { model, batch, folders })
    }
}
