//! A run that can go on later: everything the next step depends on, in one file.
//!
//! One safetensors file holds every tensor, and in its metadata the counters as
//! JSON. It is replaced atomically, so a killed process leaves the last saved run
//! whole. Numbers that must come back bit for bit are tensors; the JSON holds
//! integers only.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    TrainingError,
    history::{Evaluation, History},
};
use crate::{
    files::{Access, write_atomic},
    metrics::Scores,
};

/// File name of a saved run inside the output folder. Hidden: it is never published.
pub const STATE_FILE: &str = ".training-state.safetensors";
const METADATA_KEY: &str = "run";
const FORMAT: u32 = 2;

/// Parameters, moments and history after a number of steps.
#[derive(Debug)]
pub struct RunState {
    /// What kind of run this is: data, backbone, method and hyper-parameters.
    pub identity: Map<String, Value>,
    /// Steps done.
    pub step: u64,
    /// Every trainable tensor.
    pub parameters: BTreeMap<String, Tensor>,
    /// The trainable tensors of the best evaluation.
    pub best: BTreeMap<String, Tensor>,
    /// What the optimiser remembers.
    pub moments: BTreeMap<String, Vec<f32>>,
    /// What the choice of ranks remembers.
    pub ranks: BTreeMap<String, Vec<f32>>,
    /// What was measured.
    pub history: History,
}

#[derive(Serialize, Deserialize)]
struct Counters {
    format: u32,
    identity: Map<String, Value>,
    step: u64,
    evaluations: Vec<(u64, Scores)>,
}

/// Shape and elements by name.
type Group = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A tensor's shape and its elements, little endian.
struct Packed(Vec<usize>, Vec<u8>);

fn packed(shape: Vec<usize>, values: &[f32]) -> Packed {
    Packed(shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

impl RunState {
    /// Replaces the saved run at `path`.
    pub fn save(&self, path: &Path) -> Result<(), TrainingError> {
        let counters = Counters {
            format: FORMAT,
            identity: self.identity.clone(),
            step: self.step,
            evaluations: self.history.evaluations.iter().map(|e| (e.step, e.scores.clone())).collect(),
        };
        let mut tensors = BTreeMap::new();
        for (prefix, group) in [("parameters", &self.parameters), ("best", &self.best)] {
            for (slot, tensor) in group {
                let values = tensor.flatten_all()?.to_vec1::<f32>()?;
                tensors.insert(format!("{prefix}/{slot}"), packed(tensor.dims().to_vec(), &values));
            }
        }
        for (prefix, group) in [("moments", &self.moments), ("ranks", &self.ranks)] {
            for (name, values) in group {
                tensors.insert(format!("{prefix}/{name}"), packed(vec![values.len()], values));
            }
        }
        let evaluation_losses: Vec<f32> = self.history.evaluations.iter().map(|e| e.loss).collect();
        for (name, values) in [("losses", &self.history.losses), ("evaluation_losses", &evaluation_losses)] {
            tensors.insert(format!("history/{name}"), packed(vec![values.len()], values));
        }
        let failed = |e: String| TrainingError::write(path)(std::io::Error::other(e));
        let views: Vec<(&String, TensorView<'_>)> = tensors
            .iter()
            .map(|(name, Packed(shape, bytes))| {
                Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
            })
            .collect::<Result<_, safetensors::SafeTensorError>>()
            .map_err(|e| failed(e.to_string()))?;
        let json = serde_json::to_string(&counters).map_err(|e| failed(e.to_string()))?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), json)]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| failed(e.to_string()))?;
        write_atomic(path, &bytes, Access::Everyone).map_err(TrainingError::write(path))
    }

    /// Reads the saved run at `path`.
    pub fn load(path: &Path, device: &Device) -> Result<Self, TrainingError> {
        let refuse = |reason: String| TrainingError::State { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|e| refuse(e.to_string()))?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| refuse(e.to_string()))?;
        let json = metadata.metadata().as_ref().and_then(|m| m.get(METADATA_KEY));
        let json = json.ok_or_else(|| refuse("it is not a training run".to_owned()))?;
        let counters: Counters = serde_json::from_str(json).map_err(|e| refuse(e.to_string()))?;
        if counters.format != FORMAT {
            return Err(refuse(format!(
                "it was saved in format {}; this version reads {FORMAT}",
                counters.format
            )));
        }
        let file = SafeTensors::deserialize(&bytes).map_err(|e| refuse(e.to_string()))?;
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (name, view) in file.iter() {
            let (group, slot) =
                name.split_once('/').ok_or_else(|| refuse(format!("tensor `{name}` is unknown")))?;
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let entry = (view.shape().to_vec(), values.collect());
            groups.entry(group.to_owned()).or_default().insert(slot.to_owned(), entry);
        }
        let tensors = |group: Group| {
            let tensor =
                |(slot, (shape, values))| Ok((slot, Tensor::from_vec::<_, f32>(values, shape, device)?));
            group.into_iter().map(tensor).collect::<Result<BTreeMap<_, _>, TrainingError>>()
        };
        let mut take = |group: &str| groups.remove(group).unwrap_or_default();
        let mut history = take("history");
        let mut series = |name: &str| history.remove(name).map(|(_, values)| values).unwrap_or_default();
        let (losses, evaluation_losses) = (series("losses"), series("evaluation_losses"));
        if losses.len() as u64 != counters.step || evaluation_losses.len() != counters.evaluations.len() {
            return Err(refuse("its history does not fit its counters".to_owned()));
        }
        let evaluations = counters
            .evaluations
            .into_iter()
            .zip(evaluation_losses)
            .map(|((step, scores), loss)| Evaluation { step, loss, scores })
            .collect();
        let flat = |group: Group| group.into_iter().map(|(name, (_, values))| (name, values)).collect();
        Ok(Self {
            identity: counters.identity,
            step: counters.step,
            parameters: tensors(take("parameters"))?,
            best: tensors(take("best"))?,
            moments: flat(take("moments")),
            ranks: flat(take("ranks")),
            history: History { losses, evaluations, kept_from: 0 },
        })
    }

    /// Refuses to go on with a run of another kind.
    pub fn check_identity(&self, path: &Path, identity: &Map<String, Value>) -> Result<(), TrainingError> {
        // Both through the same parser, so that fractions compare as they were written.
        let identity = reread(identity).unwrap_or_default();
        let shown = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), ToString::to_string);
        let fields: std::collections::BTreeSet<&String> =
            self.identity.keys().chain(identity.keys()).collect();
        match fields.into_iter().find(|field| self.identity.get(*field) != identity.get(*field)) {
            None => Ok(()),
            Some(field) => Err(TrainingError::OtherRun {
                path: path.to_owned(),
                field: field.clone(),
                before: shown(self.identity.get(field)),
                now: shown(identity.get(field)),
            }),
        }
    }
}

fn reread(fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    serde_json::from_str(&serde_json::to_string(fields).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Confusion, Metric};

    fn state() -> RunState {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).expect("a tensor");
        let mut confusion = Confusion::default();
        confusion.add(0, 1);
        let values = vec![(Metric::Accuracy, 1.0 / 3.0), (Metric::Mcc, f64::MIN_POSITIVE)];
        let scores = Scores { examples: 1, values, confusion: Some(confusion), ..Scores::default() };
        RunState {
            identity: serde_json::json!({"seed": 3, "learning_rate": 0.1})
                .as_object()
                .expect("fields")
                .clone(),
            step: 2,
            parameters: [("w".to_owned(), tensor(&[0.1, f32::MIN_POSITIVE]))].into(),
            best: [("w".to_owned(), tensor(&[0.3, -0.0]))].into(),
            moments: [("first.w".to_owned(), vec![1e-30, 2.0])].into(),
            ranks: [("kept.w".to_owned(), vec![0.0, 1.0])].into(),
            history: History {
                kept_from: 0,
                losses: vec![0.123_456_79, 0.1],
                evaluations: vec![Evaluation { step: 2, loss: 0.333_333_34, scores }],
            },
        }
    }

    #[test]
    fn a_saved_run_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(STATE_FILE);
        let before = state();
        before.save(&path).expect("saves");
        let after = RunState::load(&path, &Device::Cpu).expect("loads");
        let bits = |tensors: &BTreeMap<String, Tensor>| {
            tensors["w"].to_vec1::<f32>().expect("values").into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(&before.parameters), bits(&after.parameters));
        assert_eq!(bits(&before.best), bits(&after.best));
        assert_eq!((before.moments, before.history), (after.moments, after.history));
        assert_eq!(before.ranks, after.ranks);
        assert_eq!((before.step, before.identity), (after.step, after.identity));
    }

    #[test]
    fn a_damaged_or_foreign_run_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(STATE_FILE);
        std::fs::write(&path, b"nonsense").expect("writes");
        assert!(matches!(RunState::load(&path, &Device::Cpu), Err(TrainingError::State { .. })));
        let mut other = state().identity;
        other.insert("seed".to_owned(), 4.into());
        let refused = state().check_identity(Path::new("out"), &other).expect_err("another run");
        assert_eq!(refused.to_string(), "the run in `out` can't be resumed: `seed` was 3 and is 4 now");
    }
}
