//! Running a prepared job: train, measure, and write a folder that can be published.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use hub_formats::checkpoint::{
    AdapterFolder, AdapterToWrite, CheckpointError, MEMBERS_FILE, ManifestFacts, assemble_manifest,
    model_card, note_members, write_adapter,
};
use hub_schemas::{
    Digest, Manifest,
    layout::{HeadTask, ModelClass},
    manifest::{MANIFEST_FILE, Metric, TrainingRecipe},
    method::{Method, PromptConfig},
};
use serde_json::{Map, json};

use super::{
    TrainingError,
    fusion::{self, ON_TOP_OF},
    job::PreparedJob,
    log::Logged,
    observer::{TrainingEvent, TrainingObserver},
    output::{CARD_FILE, Existing, Output, REPORT_FILE},
    report::Report,
    stages::Trained,
};
use crate::{data::TaskKind, methods::finished, params::slot_data};

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
        let result = self.train(&output, resume, observer)?;
        match result {
            Ok(trained) => Ok(JobOutcome::Finished(Box::new(self.write(&output, &trained)?))),
            Err((step, total)) => Ok(JobOutcome::Interrupted { step, total }),
        }
    }

    /// The model class whose head is left in place.
    fn class(&self) -> Option<ModelClass> {
        let task = match self.task.kind() {
            TaskKind::CausalLm => HeadTask::CausalLm,
            TaskKind::Seq2SeqLm => HeadTask::Seq2SeqLm,
            _ => return None,
        };
        Some(ModelClass::new(self.base.architecture, task))
    }

    fn member_paths(&self) -> Vec<(String, PathBuf)> {
        self.members.iter().map(|(name, folder)| (name.clone(), folder.path.clone())).collect()
    }

    fn write(&self, output: &Output, trained: &Trained) -> Result<FinishedJob, TrainingError> {
        let staging = output.stage()?;
        let tensors = trained.best.clone().into_iter().chain(trained.frozen.clone()).collect();
        let (method, tensors) = finished(&self.job.method, tensors, &self.backbone.config().shape)?;
        // A table that is the base model's own word embedding is not saved again.
        let slots = (tensors.iter())
            .map(|(slot, tensor)| Ok((slot.clone(), slot_data(tensor)?)))
            .collect::<Result<BTreeMap<_, _>, TrainingError>>()?;
        write_adapter(
            &staging,
            &AdapterToWrite {
                format: self.format,
                method: &method,
                head: self.head.as_ref(),
                class: self.class(),
                labels: self.labels(),
                name: self.tensor_name(),
                base: &self.base,
                slots: &slots,
            },
        )?;
        let facts = self.facts(trained)?;
        let best = self.best(trained);
        let scores = trained.test.as_ref().unwrap_or(&best.scores);
        let recipe = self.recipe();
        let report = Report {
            title: &format!("{} {}", facts.name, facts.version),
            method: &self.job.method.summary(),
            base: &self.base.id,
            labels: self.labels(),
            preparation: &self.preparation,
            recipe: &recipe,
            metrics: &facts.metrics,
            history: &trained.history,
            selection: self.job.options.selection(),
            scores,
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
        write(&staging.join(CARD_FILE), model_card(&draft, folder.wrapped_class()).as_bytes())?;
        let mut manifest = assemble_manifest(&folder, &self.base, facts)?;
        // The files hold no dropout: only the manifest can say what training used.
        manifest.method = method;
        manifest.head.clone_from(&self.head);
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
        &history.evaluations[history.best(self.job.options.selection()).unwrap_or(0)]
    }

    fn recipe(&self) -> TrainingRecipe {
        let plan = self.job.options.plan(self.training.set.rows());
        let mut hyper_parameters = self.job.options.record(&plan);
        if !self.backbone.device().is_cpu() {
            hyper_parameters.insert("device".to_owned(), json!("cuda"));
        }
        if self.job.validation.is_none() {
            hyper_parameters.insert("validation_share".to_owned(), json!(self.job.options.validation_share));
        }
        if self.task.kind() == TaskKind::QuestionAnswering {
            hyper_parameters.insert("doc_stride".to_owned(), json!(self.job.options.doc_stride));
        }
        if let Method::Prompt(PromptConfig { encoder_hidden_size: Some(width), .. }) = self.job.method {
            hyper_parameters.insert("encoder_hidden_size".to_owned(), json!(width));
        }
        if let Some(below) = &self.below {
            hyper_parameters.insert(ON_TOP_OF.to_owned(), json!(below));
        }
        if self.trains_head_first() {
            let head = self.job.options.of_head();
            let steps = head.plan(self.training.set.rows()).total;
            hyper_parameters.insert("head_stage_learning_rate".to_owned(), json!(head.learning_rate));
            hyper_parameters.insert("head_stage_steps".to_owned(), json!(steps));
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
        let validation = (&self.validation, &self.best(trained).scores);
        // The first metric is the one rankings compare: the test data decided nothing.
        for (part, scores) in test.into_iter().chain([validation]) {
            // A manifest holds numbers: the correlation of a constant is none.
            for (metric, value) in scores.values.iter().filter(|(_, value)| value.is_finite()) {
                metrics.push(Metric {
                    name: metric.to_string(),
                    value: *value,
                    dataset: part.source.name.clone(),
                    split: part.source.split.clone(),
                    dataset_digest: Some(part.source.digest),
                    extra: Map::new(),
                });
            }
        }
        let kind = || self.task.kind().as_str().parse().map_err(TrainingError::from);
        let task = facts.task.clone().map_or_else(kind, Ok)?;
        let described = || {
            let inputs = self.base.architecture.inputs();
            let what = facts.subtask.as_ref().unwrap_or(&task);
            let does = match self.task.kind() {
                TaskKind::Classification | TaskKind::MultiLabel => format!("Labels {inputs}"),
                TaskKind::Embedding => "Gives texts vectors".to_owned(),
                TaskKind::Regression => format!("Gives {inputs} a number"),
                TaskKind::MultipleChoice => "Chooses among texts".to_owned(),
                TaskKind::Tagging => "Tags words".to_owned(),
                TaskKind::DependencyParsing => "Finds the trees of sentences".to_owned(),
                TaskKind::QuestionAnswering => "Finds answers in passages".to_owned(),
                TaskKind::MaskedLm => "Finds hidden tokens".to_owned(),
                TaskKind::CausalLm if self.sees() => "Describes pictures".to_owned(),
                TaskKind::CausalLm => "Continues texts".to_owned(),
                TaskKind::Seq2SeqLm => "Writes a text from another".to_owned(),
            };
            let names: Vec<&str> = self.members.iter().map(|(name, _)| name.as_str()).collect();
            let below =
                if self.below.is_some() { format!(" on top of {}", names.join(", ")) } else { String::new() };
            format!(
                "{does} ({what}) on {}: {}{below}, trained on {} examples of {}.",
                self.base.id,
                self.job.method.summary(),
                self.preparation.training_examples,
                self.training.source.name
            )
        };
        Ok(ManifestFacts {
            name: facts.name.clone(),
            version: facts.version.clone(),
            task: task.clone(),
            subtask: facts.subtask.clone(),
            labels: self.labels().to_vec(),
            languages: facts.languages.clone(),
            license: facts.license.clone(),
            description: facts.description.clone().unwrap_or_else(described),
            metrics,
            training: Some(self.recipe()),
            origin: None,
            // A task's adapter goes with any language's: what it was trained on top of is no dependency.
            dependencies: if self.below.is_some() {
                Vec::new()
            } else {
                fusion::dependencies(&self.members)?
            },
        })
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainingError> {
    fs::write(path, bytes).map_err(TrainingError::write(path))
}
