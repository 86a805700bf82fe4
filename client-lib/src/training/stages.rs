//! What a job trains, and in how many stages.
//!
//! Most methods train adapter and head together. The last layer alone is trained on
//! features that are computed once; where blocks are below everything that is trained, they run once. A Hadamard adapter has two stages (Chen et al. 2023):
//! the head alone, then the adapter under that head, which is frozen. Each stage is a
//! run of its own with a saved state of its own.

use std::{collections::BTreeMap, path::Path};

use candle_core::{Device, Tensor};
use hub_schemas::{
    head::Head,
    method::{AdaLoraConfig, Method},
};
use serde_json::{Map, Value, json};

use super::{
    HyperParameters, Learner, TrainingError,
    frozen::{AboveFrozen, is_worth_keeping},
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
use crate::{heads::trained_slots, metrics::Scores, model::StitchedModel};

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
            Method::LastLayer => self.train_head(&self.fresh_model()?, (stage, output), observer),
            Method::AdaLora(config) => {
                let stage = Stage { adalora: Some(config), ..stage };
                self.train_whole(&self.fresh_model()?, (stage, output), observer)
            }
            Method::Hadamard(_) => match self.head.as_ref().filter(|_| self.trains_head_first()) {
                Some(head) => self.train_after_head(head, output, stage, resume, observer),
                // The base model's own head is trained already, and some have no weights.
                None => self.train_whole(&self.fresh_model()?, (stage, output), observer),
            },
            _ => self.train_whole(&self.fresh_model()?, (stage, output), observer),
        }
    }

    /// Whether the head is trained alone before the adapter is.
    pub(super) fn trains_head_first(&self) -> bool {
        let has_weights = |head| !trained_slots(head, &self.backbone).is_empty();
        matches!(self.job.method, Method::Hadamard(_)) && self.head.as_ref().is_some_and(has_weights)
    }

    /// Initial weights: a pure function of the seed.
    fn fresh_model(&self) -> Result<StitchedModel, TrainingError> {
        let (backbone, seed) = (self.backbone.clone(), self.job.options.seed);
        let members: Vec<_> = self.members.iter().map(|(name, folder)| (name.clone(), folder)).collect();
        let model = if let Method::Composition(config) = &self.job.method {
            StitchedModel::fresh_fusion(backbone, config, &members, self.head.as_ref(), seed)?
        } else {
            StitchedModel::fresh_on(backbone, &members, &self.job.method, self.head.as_ref(), seed)?
        };
        let model = if self.head.is_none() { model.under_head_of_base()? } else { model };
        Ok(if self.job.options.adapter_drop { model.dropping_layers() } else { model })
    }

    fn train_whole(
        &self,
        model: &StitchedModel,
        (stage, output): (Stage<'_>, &Output),
        observer: &mut dyn TrainingObserver,
    ) -> Result<Staged<Trained>, TrainingError> {
        let whole =
            WholeModel { recomputes: stage.options.recompute, ..WholeModel::new(model, &self.encoder) };
        let blocks = model.frozen_blocks();
        let (sets, options) = ([&self.training.set, &self.validation.set], stage.options);
        let plan = options.plan(self.training.set.rows());
        let width = self.backbone.config().shape.hidden_size;
        let trained = if blocks > 0 && is_worth_keeping(sets, width, &plan, options.keep_states) {
            let learner = AboveFrozen { whole, blocks };
            self.train_above(&learner, (stage, output), observer)?
        } else {
            stage.train(&whole, sets[0], sets[1], observer)?
        };
        self.tested(&whole, trained)
    }

    /// Runs the frozen blocks once, and trains what is above them.
    fn train_above(
        &self,
        learner: &AboveFrozen<'_>,
        (mut stage, output): (Stage<'_>, &Output),
        observer: &mut dyn TrainingObserver,
    ) -> Result<Staged<Trained>, TrainingError> {
        stage.identity.insert("frozen blocks that run once".to_owned(), json!(learner.blocks));
        let (size, folder) = (stage.options.batch_size, output.folder());
        let total = self.training.set.rows() + self.validation.set.rows();
        let mut before = 0;
        let mut keep = |set| {
            let progress = |rows| {
                observer.on(&TrainingEvent::Features { done: before + rows, total });
                !observer.should_stop()
            };
            let kept = learner.keep(set, size, folder, progress)?;
            before += set.rows();
            Ok::<_, TrainingError>(kept)
        };
        let kept = (keep(&self.training.set)?, keep(&self.validation.set)?);
        let (Some(training), Some(validation)) = kept else {
            let steps = stage.saved()?.map_or(0, |state| state.step);
            return Ok(Err((steps, stage.options.plan(self.training.set.rows()).total)));
        };
        stage.train(learner, &training, &validation, observer)
    }

    fn train_head(
        &self,
        model: &StitchedModel,
        (stage, output): (Stage<'_>, &Output),
        observer: &mut dyn TrainingObserver,
    ) -> Result<Staged<Trained>, TrainingError> {
        let is_of_rows = |head: &Head| head.pooling().is_some() && !matches!(head, Head::MultipleChoice(_));
        if !self.head.as_ref().is_some_and(is_of_rows) {
            // The head reads every token, or several texts of an example: its features are no row each.
            return self.train_whole(model, (stage, output), observer);
        }
        let mut read = |set| features(model, &self.encoder, set, stage.options.batch_size, observer);
        let (training, validation) = (read(&self.training.set)?, read(&self.validation.set)?);
        let trained = stage.train(&HeadOnly { model }, &training, &validation, observer)?;
        self.tested(&WholeModel::new(model, &self.encoder), trained)
    }

    /// The same with the measurement on the test examples, which decided nothing.
    fn tested(
        &self,
        whole: &WholeModel<'_>,
        trained: Staged<Trained>,
    ) -> Result<Staged<Trained>, TrainingError> {
        let measured = |trained| {
            let test = self.test.as_ref();
            let test = test.map(|test| measure(whole, &test.set, self.job.options.at_once(), |_| {}));
            Ok(Trained { test: test.transpose()?.map(|measured| measured.scores), ..trained })
        };
        match trained {
            Ok(trained) => measured(trained).map(Ok),
            interrupted @ Err(_) => Ok(interrupted),
        }
    }

    /// The head first, then the adapter under it.
    fn train_after_head(
        &self,
        own: &Head,
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
            let model = StitchedModel::fresh(backbone.clone(), &Method::LastLayer, Some(own), seed)?;
            match self.train_head(&model, (first, output), observer)? {
                Ok(trained) => trained.best,
                Err(interrupted) => return Ok(Err(interrupted)),
            }
        };
        let steps = self.job.options.plan(examples).total;
        observer.on(&TrainingEvent::Stage { what: "the adapter, under the frozen head", steps });
        second.identity.insert("stage".to_owned(), json!("adapter"));
        let model = StitchedModel::under_head(backbone.clone(), &self.job.method, own, head, seed)?;
        self.train_whole(&model, (second, output), observer)
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

    /// Trains, and leaves the learner with the best checkpoint.
    fn train<L: Learner>(
        self,
        learner: &L,
        training: &ExampleSet<L::Inputs>,
        validation: &ExampleSet<L::Inputs>,
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
        let frozen = learner.parameters().frozen().clone();
        Ok(Ok(Trained { best, frozen, history, test: None }))
    }
}
