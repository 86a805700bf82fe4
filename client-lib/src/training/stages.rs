//! What a job trains, and in how many stages.
//!
//! Most methods train adapter and head together. The last layer alone is trained on
//! features that are computed once. A Hadamard adapter has two stages (Chen et al. 2023):
//! the head alone, then the adapter under that head, which is frozen. Each stage is a
//! run of its own with a saved state of its own.

use std::{collections::BTreeMap, path::Path};

use candle_core::{Device, Tensor};
use hub_schemas::method::{AdaLoraConfig, Method};
use serde_json::{Map, Value, json};

use super::{
    HyperParameters, Learner, TrainingError,
    history::History,
    job::PreparedJob,
    learner::{ExampleSet, WholeModel},
    measure::measure,
    observer::{TrainingEvent, TrainingObserver},
    output::Output,
    probe::{HeadOnly, features},
    state::RunState,
    trainer::{Outcome, Run},
};
use crate::{metrics::Scores, model::StitchedModel};

/// The best checkpoint with its measurements.
pub(super) struct Trained {
    /// The trained tensors.
    pub(super) best: BTreeMap<String, Tensor>,
    /// What is saved with them but was not trained in the last stage.
    pub(super) frozen: BTreeMap<String, Tensor>,
    pub(super) history: History,
    pub(super) test: Option<Scores>,
}

/// The result, or the steps done and all steps of an interrupted run.
pub(super) type Staged<T> = Result<T, (u64, u64)>;

impl PreparedJob {
    /// Trains what the job's method demands. With `resume` every stage goes on where its
    /// saved state ends.
    pub(super) fn train(
        &self,
        output: &Output,
        resume: bool,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Staged<Trained>, TrainingError> {
        let options = &self.job.options;
        let state_path = output.state_path();
        let stage = Stage::new(options, self.backbone.device(), self.identity(), &state_path, resume);
        match &self.job.method {
            Method::LastLayer => self.train_head(&self.fresh_model()?, stage, observer),
            Method::AdaLora(config) => {
                let stage = Stage { adalora: Some(config), ..stage };
                self.train_whole(&self.fresh_model()?, stage, observer)
            }
            Method::Hadamard(_) => self.train_after_head(output, stage, resume, observer),
            _ => self.train_whole(&self.fresh_model()?, stage, observer),
        }
    }

    /// Initial weights: a pure function of the seed.
    fn fresh_model(&self) -> Result<StitchedModel, TrainingError> {
        let (backbone, seed) = (self.backbone.clone(), self.job.options.seed);
        let members: Vec<_> = self.members.iter().map(|(name, folder)| (name.clone(), folder)).collect();
        let model = if let Method::Composition(config) = &self.job.method {
            StitchedModel::fresh_fusion(backbone, config, &members, &self.head, seed)?
        } else {
            StitchedModel::fresh_on(backbone, &members, &self.job.method, &self.head, seed)?
        };
        Ok(if self.job.options.adapter_drop { model.dropping_layers() } else { model })
    }

    fn train_whole(
        &self,
        model: &StitchedModel,
        stage: Stage<'_>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Staged<Trained>, TrainingError> {
        let learner = WholeModel { model, encoder: &self.encoder };
        let test = self.test.as_ref().map(|test| &test.set);
        stage.train(&learner, &self.training.set, &self.validation.set, test, observer)
    }

    fn train_head(
        &self,
        model: &StitchedModel,
        stage: Stage<'_>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Staged<Trained>, TrainingError> {
        if self.head.pooling().is_none() {
            // The head reads every token: its features would be as large as all hidden states.
            return self.train_whole(model, stage, observer);
        }
        let mut read = |set| features(model, &self.encoder, set, stage.options.batch_size, observer);
        let (training, validation) = (read(&self.training.set)?, read(&self.validation.set)?);
        let test = self.test.as_ref().map(|test| read(&test.set)).transpose()?;
        stage.train(&HeadOnly { model }, &training, &validation, test.as_ref(), observer)
    }

    /// The head first, then the adapter under it.
    fn train_after_head(
        &self,
        output: &Output,
        mut second: Stage<'_>,
        resume: bool,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Staged<Trained>, TrainingError> {
        let options = self.job.options.of_head();
        let seed = options.seed;
        let examples = self.training.set.rows();
        let backbone = &self.backbone;
        let path = output.head_state_path();
        let mut identity = self.identity();
        identity.insert("stage".to_owned(), json!("head"));
        let first = Stage::new(&options, backbone.device(), identity, &path, resume);
        let steps = options.plan(examples).total;
        observer.on(&TrainingEvent::Stage { what: "the head, on the frozen backbone", steps });
        let head = if let Some(done) = first.finished(steps)? {
            done
        } else {
            let model = StitchedModel::fresh(backbone.clone(), &Method::LastLayer, Some(&self.head), seed)?;
            match self.train_head(&model, first, observer)? {
                Ok(trained) => trained.best,
                Err(interrupted) => return Ok(Err(interrupted)),
            }
        };
        let steps = self.job.options.plan(examples).total;
        observer.on(&TrainingEvent::Stage { what: "the adapter, under the frozen head", steps });
        second.identity.insert("stage".to_owned(), json!("adapter"));
        let model = StitchedModel::under_head(backbone.clone(), &self.job.method, &self.head, head, seed)?;
        self.train_whole(&model, second, observer)
    }
}

/// One stage of a job: how it is trained, and where it is saved.
pub(super) struct Stage<'a> {
    options: &'a HyperParameters,
    device: &'a Device,
    identity: Map<String, Value>,
    state_path: &'a Path,
    resume: bool,
    adalora: Option<&'a AdaLoraConfig>,
}

impl<'a> Stage<'a> {
    fn new(
        options: &'a HyperParameters,
        device: &'a Device,
        identity: Map<String, Value>,
        state_path: &'a Path,
        resume: bool,
    ) -> Self {
        Self { options, device, identity, state_path, resume, adalora: None }
    }

    fn saved(&self) -> Result<Option<RunState>, TrainingError> {
        let is_there = self.resume && self.state_path.is_file();
        is_there.then(|| RunState::load(self.state_path, self.device)).transpose()
    }

    /// The best tensors of this stage, when all its `steps` are done.
    fn finished(&self, steps: u64) -> Result<Option<BTreeMap<String, Tensor>>, TrainingError> {
        let Some(state) = self.saved()?.filter(|state| state.step >= steps) else { return Ok(None) };
        state.check_identity(self.state_path, &self.identity)?;
        Ok(Some(state.best))
    }

    /// Trains, and measures the best checkpoint on the test examples.
    fn train<L: Learner>(
        self,
        learner: &L,
        training: &ExampleSet<L::Inputs>,
        validation: &ExampleSet<L::Inputs>,
        test: Option<&ExampleSet<L::Inputs>>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Staged<Trained>, TrainingError> {
        let saved = self.saved()?;
        let Self { options, identity, state_path, adalora, .. } = self;
        let run = Run { learner, training, validation, options, adalora, identity, state_path };
        let (best, history) = match run.train(saved, observer)? {
            Outcome::Finished { best, history } => (best, history),
            Outcome::Interrupted { step, total } => return Ok(Err((step, total))),
        };
        learner.parameters().restore(&best)?;
        let measured = test.map(|test| measure(learner, test, options.batch_size, |_| {})).transpose()?;
        let frozen = learner.parameters().frozen().clone();
        Ok(Ok(Trained { best, frozen, history, test: measured.map(|m| m.scores) }))
    }
}
