//! Running a prepared job: train, measure, and write a folder that can be published.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor};
use hub_schemas::{
    Digest, Manifest,
    manifest::{MANIFEST_FILE, Metric, TrainingRecipe},
    method::Method,
};
use serde_json::{Map, json};

use super::{
    HyperParameters, Learner, TrainingError, fusion,
    history::History,
    job::PreparedJob,
    learner::{ExampleSet, WholeModel},
    log::Logged,
    measure::measure,
    metrics::Confusion,
    observer::{TrainingEvent, TrainingObserver},
    output::{CARD_FILE, Existing, Output, REPORT_FILE},
    probe::{HeadOnly, features},
    report::Report,
    state::RunState,
    trainer::{Outcome, Run},
};
use crate::{
    checkpoint::{
        AdapterFolder, AdapterToWrite, CheckpointError, MEMBERS_FILE, ManifestFacts, SlotData,
        assemble_manifest, model_card, note_members, write_adapter,
    },
    model::StitchedModel,
};

/// How a job ended.
#[derive(Debug)]
pub enum JobOutcome {
    /// The adapter lies in the output folder.
    Finished(Box<FinishedJob>),
    /// The observer asked to stop; the run can be resumed.
    Interrupted {
        /// Steps done.
        step: u64,
        /// Steps in all.
        total: u64,
    },
}

/// What a finished job made.
#[derive(Debug)]
pub struct FinishedJob {
    /// What the folder states about itself.
    pub manifest: Manifest,
    /// Its identity.
    pub digest: Digest,
    /// The step whose checkpoint was kept.
    pub best_step: u64,
    /// Steps done.
    pub steps: u64,
}

/// The best checkpoint with its measurements.
struct Trained {
    best: BTreeMap<String, Tensor>,
    history: History,
    test: Option<Confusion>,
}

impl PreparedJob {
    /// Trains and writes the output folder.
    pub fn run(&self, observer: &mut dyn TrainingObserver) -> Result<JobOutcome, TrainingError> {
        let output = Output::claim(&self.job.output, self.job.existing)?;
        let resume = self.job.existing == Existing::Resume;
        let mut observer = Logged::new(output.folder(), resume, observer);
        let observer: &mut dyn TrainingObserver = &mut observer;
        for notice in &self.notices {
            observer.on(&TrainingEvent::Notice(notice));
        }
        observer.on(&TrainingEvent::Prepared(&self.preparation));
        let state_path = output.state_path();
        let device = self.backbone.device().clone();
        let resumed =
            if resume && state_path.is_file() { Some(RunState::load(&state_path, &device)?) } else { None };
        let options = &self.job.options;
        let model = self.fresh_model()?;
        let (training, validation) = (&self.training.set, &self.validation.set);
        let test = self.test.as_ref().map(|test| &test.set);
        let stage = Stage { options, device: &device, identity: self.identity(), state_path: &state_path };
        let result = if self.job.method == Method::LastLayer {
            let mut read = |set| features(&model, &self.encoder, set, options.batch_size, observer);
            let (training, validation) = (read(training)?, read(validation)?);
            let test = test.map(&mut read).transpose()?;
            stage.train(
                &HeadOnly { model: &model },
                &training,
                &validation,
                test.as_ref(),
                resumed,
                observer,
            )?
        } else {
            let learner = WholeModel { model: &model, encoder: &self.encoder };
            stage.train(&learner, training, validation, test, resumed, observer)?
        };
        match result {
            Ok(trained) => Ok(JobOutcome::Finished(Box::new(self.write(&output, &trained)?))),
            Err((step, total)) => Ok(JobOutcome::Interrupted { step, total }),
        }
    }

    /// Initial weights: a pure function of the seed.
    fn fresh_model(&self) -> Result<StitchedModel, TrainingError> {
        let (backbone, seed) = (self.backbone.clone(), self.job.options.seed);
        let model = if let Method::Composition(config) = &self.job.method {
            let members: Vec<_> = self.members.iter().map(|(name, folder)| (name.clone(), folder)).collect();
            StitchedModel::fresh_fusion(backbone, config, &members, &self.head, seed)?
        } else {
            StitchedModel::fresh(backbone, &self.job.method, Some(&self.head), seed)?
        };
        Ok(if self.job.options.adapter_drop { model.dropping_layers() } else { model })
    }

    fn member_paths(&self) -> Vec<(String, PathBuf)> {
        self.members.iter().map(|(name, folder)| (name.clone(), folder.path.clone())).collect()
    }

    fn write(&self, output: &Output, trained: &Trained) -> Result<FinishedJob, TrainingError> {
        let staging = output.stage()?;
        let slots = trained
            .best
            .iter()
            .map(|(slot, tensor)| {
                let values = tensor.flatten_all()?.to_vec1::<f32>()?;
                Ok((slot.clone(), SlotData::from_f32(tensor.dims().to_vec(), &values)))
            })
            .collect::<Result<BTreeMap<_, _>, TrainingError>>()?;
        write_adapter(
            &staging,
            &AdapterToWrite {
                format: self.format,
                method: &self.job.method,
                head: Some(&self.head),
                labels: self.labels.names(),
                name: self.tensor_name(),
                base: &self.base,
                slots: &slots,
            },
        )?;
        let facts = self.facts(trained)?;
        let best = self.best(trained);
        let confusion = trained.test.as_ref().unwrap_or(&best.confusion);
        let recipe = self.recipe();
        let report = Report {
            title: &format!("{} {}", facts.name, facts.version),
            method: &self.job.method.summary(),
            base: &self.base.id,
            labels: self.labels.names(),
            preparation: &self.preparation,
            recipe: &recipe,
            metrics: &facts.metrics,
            history: &trained.history,
            selection: self.job.options.selection,
            confusion,
        };
        write(&staging.join(REPORT_FILE), report.render().as_bytes())?;
        let folder = match &self.job.method {
            Method::Composition(config) => {
                write(&staging.join(MEMBERS_FILE), note_members(&self.member_paths()).as_bytes())?;
                AdapterFolder::of_composition(&staging, config, self.base.architecture)?
            }
            _ => AdapterFolder::open(&staging)?,
        };
        // The card shows what the manifest says, and the manifest lists the card.
        let draft = assemble_manifest(&folder, &self.base, facts.clone())?;
        write(&staging.join(CARD_FILE), model_card(&draft).as_bytes())?;
        let mut manifest = assemble_manifest(&folder, &self.base, facts)?;
        // The files hold no dropout: only the manifest can say what training used.
        manifest.method = self.job.method.clone();
        manifest.head = Some(self.head.clone());
        let bytes = manifest
            .validate()
            .and_then(|()| manifest.to_canonical_bytes())
            .map_err(|source| CheckpointError::Manifest { path: staging.join(MANIFEST_FILE), source })?;
        write(&staging.join(MANIFEST_FILE), &bytes)?;
        output.publish(&staging)?;
        let steps = trained.history.losses.len() as u64;
        Ok(FinishedJob { digest: Digest::of(&bytes), manifest, best_step: best.step, steps })
    }

    /// The kept evaluation: the loop evaluates after its last step, so there is one.
    fn best<'t>(&self, trained: &'t Trained) -> &'t super::history::Evaluation {
        let history = &trained.history;
        &history.evaluations[history.best(self.job.options.selection).unwrap_or(0)]
    }

    fn recipe(&self) -> TrainingRecipe {
        let plan = self.job.options.plan(self.training.set.labels.len());
        let mut hyper_parameters = self.job.options.record(&plan);
        if self.job.validation.is_none() {
            hyper_parameters.insert("validation_share".to_owned(), json!(self.job.options.validation_share));
        }
        TrainingRecipe {
            tool: "hub".to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: self.job.options.seed,
            data: self.sources(),
            hyper_parameters,
            extra: Map::new(),
        }
    }

    fn facts(&self, trained: &Trained) -> Result<ManifestFacts, TrainingError> {
        let facts = &self.job.facts;
        let mut metrics = Vec::new();
        let test = self.test.as_ref().zip(trained.test.as_ref());
        let validation = (&self.validation, &self.best(trained).confusion);
        // The first metric is the one rankings compare: the test data decided nothing.
        for (part, confusion) in test.into_iter().chain([validation]) {
            for (name, value) in [("accuracy", confusion.accuracy()), ("macro_f1", confusion.macro_f1())] {
                metrics.push(Metric {
                    name: name.to_owned(),
                    value,
                    dataset: part.source.name.clone(),
                    split: part.source.split.clone(),
                    dataset_digest: Some(part.source.digest),
                    extra: Map::new(),
                });
            }
        }
        let described = || {
            let what = facts.subtask.as_ref().unwrap_or(&facts.task);
            format!(
                "Labels texts ({what}) on {}: {}, trained on {} examples of {}.",
                self.base.id,
                self.job.method.summary(),
                self.preparation.training_examples,
                self.training.source.name
            )
        };
        Ok(ManifestFacts {
            name: facts.name.clone(),
            version: facts.version.clone(),
            task: facts.task.clone(),
            subtask: facts.subtask.clone(),
            labels: self.labels.names().to_vec(),
            languages: facts.languages.clone(),
            license: facts.license.clone(),
            description: facts.description.clone().unwrap_or_else(described),
            metrics,
            training: Some(self.recipe()),
            origin: None,
            dependencies: fusion::dependencies(&self.members)?,
        })
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainingError> {
    fs::write(path, bytes).map_err(TrainingError::write(path))
}

/// What both kinds of learner have in common.
struct Stage<'a> {
    options: &'a HyperParameters,
    device: &'a Device,
    identity: Map<String, serde_json::Value>,
    state_path: &'a Path,
}

impl Stage<'_> {
    /// Trains, and measures the best checkpoint on the test examples. `Err` holds
    /// the steps done and all steps of an interrupted run.
    fn train<L: Learner>(
        self,
        learner: &L,
        training: &ExampleSet<L::Inputs>,
        validation: &ExampleSet<L::Inputs>,
        test: Option<&ExampleSet<L::Inputs>>,
        resumed: Option<RunState>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Result<Trained, (u64, u64)>, TrainingError> {
        let Self { options, device, identity, state_path } = self;
        let run = Run { learner, training, validation, options, device, identity, state_path };
        let (best, history) = match run.train(resumed, observer)? {
            Outcome::Finished { best, history } => (best, history),
            Outcome::Interrupted { step, total } => return Ok(Err((step, total))),
        };
        learner.parameters().restore(&best)?;
        let measured = test.map(|test| measure(learner, test, options.batch_size, |_| {})).transpose()?;
        Ok(Ok(Trained { best, history, test: measured.map(|m| m.confusion) }))
    }
}
