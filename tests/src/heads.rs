//! The fixtures of `fixtures/heads`: a folder for each prediction head of the real
//! libraries, with what they compute in double precision.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use hub_schemas::backbone::Architecture;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::interop::fixture;

/// Named tensors in row-major order.
pub type Doubles = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

/// One case of `cases.json`.
#[derive(Debug)]
pub struct Case {
    /// The name of its folder.
    pub name: String,
    /// Who saved what: see `make.py`.
    pub kind: String,
    base: String,
    inputs: String,
}

impl Case {
    /// Every case of a kind on an architecture that this version knows. Fixtures may be
    /// ahead of the architectures.
    pub fn of_kind(kind: &str) -> Result<Vec<Self>> {
        let listing: Value = serde_json::from_slice(&std::fs::read(fixture("heads/cases.json"))?)?;
        let cases = listing["cases"].as_object().context("`cases` is an object")?;
        let text = |case: &Value, key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let all = cases.iter().map(|(name, case)| Self {
            name: name.clone(),
            kind: text(case, "kind"),
            base: text(case, "base"),
            inputs: text(case, "inputs"),
        });
        let found: Vec<Self> =
            all.filter(|case| case.kind == kind && case.base.parse::<Architecture>().is_ok()).collect();
        ensure!(!found.is_empty(), "no case is of the kind `{kind}`");
        Ok(found)
    }

    /// The case with this name.
    pub fn named(name: &str) -> Result<Self> {
        let kinds = ["head", "model class", "peft", "adapters", "own"];
        let all = kinds.iter().map(|kind| Self::of_kind(kind)).collect::<Result<Vec<_>>>()?;
        all.into_iter().flatten().find(|case| case.name == name).with_context(|| format!("no case `{name}`"))
    }

    /// The folder of its backbone.
    pub fn base(&self) -> PathBuf {
        let folder = if self.kind == "model class" { &self.name } else { &self.base };
        fixture("heads").join(folder)
    }

    /// The folder of its adapter or head; `None` where the head is in the checkpoint.
    pub fn adapter(&self) -> Option<PathBuf> {
        (self.kind != "model class").then(|| fixture("heads").join(&self.name))
    }

    /// What it is computed on.
    pub fn inputs(&self) -> PathBuf {
        fixture("heads/inputs").join(format!("{}.safetensors", self.inputs))
    }

    /// What the library computes.
    pub fn expected(&self) -> Result<Doubles> {
        let path = fixture("heads").join(&self.name).join("expected.safetensors");
        let bytes = std::fs::read(&path).with_context(|| format!("could not read `{}`", path.display()))?;
        let mut tensors = Doubles::new();
        for (name, view) in SafeTensors::deserialize(&bytes)?.tensors() {
            ensure!(view.dtype() == Dtype::F64, "`{name}` in `{}` is not f64", path.display());
            let numbers = view.data().as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
            tensors.insert(name, (view.shape().to_vec(), numbers.collect()));
        }
        Ok(tensors)
    }

    /// Fails unless `found` holds what the library computes, up to `tolerance`, and nothing
    /// else but the last hidden state.
    pub fn ensure_equal(&self, mut found: Doubles, tolerance: f64) -> Result<()> {
        let name = &self.name;
        found.remove("last_hidden_state").with_context(|| format!("{name}: no last hidden state"))?;
        let expected = self.expected()?;
        let names = |tensors: &Doubles| tensors.keys().cloned().collect::<Vec<_>>();
        ensure!(
            names(&found) == names(&expected),
            "{name}: {:?} instead of {:?}",
            names(&found),
            names(&expected)
        );
        for (tensor, (shape, theirs)) in &expected {
            let (our_shape, ours) = &found[tensor];
            ensure!(our_shape == shape, "{name}: `{tensor}` has shape {our_shape:?}, theirs {shape:?}");
            let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            // NaN is not below any bar.
            ensure!(worst <= tolerance, "{name}: `{tensor}` is off by {worst:e}");
            ensure!(
                ours.iter().all(|x| x.is_finite()),
                "{name}: `{tensor}` holds something else than numbers"
            );
        }
        Ok(())
    }
}
