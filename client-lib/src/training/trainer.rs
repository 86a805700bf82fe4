//! The training loop.
//!
//! A step is a pure function of the parameters, the moments, the seed and the
//! step's number, so a run that was saved and resumed ends with the same bytes as
//! one that was not interrupted.

use std::{collections::BTreeMap, path::Path};

use candle_core::Tensor;
use hub_schemas::method::AdaLoraConfig;
use serde_json::{Map, Value};

use super::{
    Learner, TrainingError,
    adamw::{AdamW, AdamWConfig, Gradients},
    batching::epoch_batches,
    history::{Evaluation, History},
    learner::ExampleSet,
    measure::measure,
    observer::{TrainingEvent, TrainingObserver},
    options::{HyperParameters, Plan},
    rank_allocation::RankAllocation,
    schedule::Schedule,
    state::RunState,
};
use crate::{
    backbones::{Mode, is_out_of_memory},
    ops::Recording,
};

/// Everything a run depends on.
#[derive(Debug)]
pub struct Run<'a, L: Learner> {
    /// What is trained.
    pub learner: &'a L,
    /// On what.
    pub training: &'a ExampleSet<L::Inputs>,
    /// What decides the best checkpoint.
    pub validation: &'a ExampleSet<L::Inputs>,
    /// How.
    pub options: &'a HyperParameters,
    /// Whose ranks are chosen while training.
    pub adalora: Option<&'a AdaLoraConfig>,
    /// What kind of run it is, for whoever resumes it.
    pub identity: Map<String, Value>,
    /// Where it is saved.
    pub state_path: &'a Path,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// All steps are done, or patience is.
    Finished {
        /// The trainable tensors of the best evaluation.
        best: BTreeMap<String, Tensor>,
        /// What was measured.
        history: History,
    },
    /// The observer asked to stop; the run is saved.
    Interrupted {
        /// Steps done.
        step: u64,
        /// Steps in all.
        total: u64,
    },
}

struct Progress {
    optimiser: AdamW,
    ranks: Option<RankAllocation>,
    step: u64,
    best: BTreeMap<String, Tensor>,
    history: History,
    /// The batches of one epoch, and which.
    batches: Option<(u64, Vec<Vec<usize>>)>,
}

impl<L: Learner> Run<'_, L> {
    /// Trains until the end, from the beginning or from a saved run.
    pub fn train(
        &self,
        resumed: Option<RunState>,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Outcome, TrainingError> {
        let plan = self.options.plan(self.training.rows());
        let schedule = Schedule::new(self.options.learning_rate, self.options.warmup, plan.total);
        let mut progress = self.begin(resumed, plan.total, observer)?;
        while progress.step < plan.total && !self.is_out_of_patience(&progress.history) {
            self.step(&mut progress, &plan, &schedule, observer)?;
            let evaluated = progress.step.is_multiple_of(plan.between) || progress.step == plan.total;
            if evaluated {
                self.evaluate(&mut progress, observer)?;
            }
            let stop = observer.should_stop() && progress.step < plan.total;
            if evaluated || stop {
                self.save(&progress)?;
                observer.on(&TrainingEvent::Saved { step: progress.step });
            }
            if stop {
                return Ok(Outcome::Interrupted { step: progress.step, total: plan.total });
            }
        }
        Ok(Outcome::Finished { best: progress.best, history: progress.history })
    }

    fn begin(
        &self,
        resumed: Option<RunState>,
        total: u64,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Progress, TrainingError> {
        let ranks = self.adalora.and_then(|config| RankAllocation::new(config, total));
        let kept_from = ranks.as_ref().map_or(0, RankAllocation::settled_from);
        let config = AdamWConfig { weight_decay: self.options.weight_decay, ..AdamWConfig::default() };
        let Some(state) = resumed else {
            let optimiser = AdamW::new(config);
            let (best, history) = (BTreeMap::new(), History { kept_from, ..History::default() });
            return Ok(Progress { optimiser, ranks, step: 0, best, history, batches: None });
        };
        state.check_identity(self.state_path, &self.identity)?;
        self.learner.parameters().restore(&state.parameters)?;
        observer.on(&TrainingEvent::Resumed { step: state.step });
        Ok(Progress {
            optimiser: AdamW::restore(config, state.step, state.moments)?,
            ranks: ranks.map(|ranks| ranks.restored(state.ranks)),
            step: state.step,
            best: state.best,
            history: History { kept_from, ..state.history },
            batches: None,
        })
    }

    fn is_out_of_patience(&self, history: &History) -> bool {
        self.options.patience.is_some_and(|patience| history.since_best(self.options.selection()) >= patience)
    }

    fn step(
        &self,
        progress: &mut Progress,
        plan: &Plan,
        schedule: &Schedule,
        observer: &mut dyn TrainingObserver,
    ) -> Result<(), TrainingError> {
        let step = progress.step;
        let (epoch, index) = (step / plan.per_epoch, (step % plan.per_epoch) as usize);
        if progress.batches.as_ref().is_none_or(|(of, _)| *of != epoch) {
            let options = self.options;
            let batches = epoch_batches(&self.training.lengths, options.batch_size, options.seed, epoch);
            progress.batches = Some((epoch, batches));
        }
        let rows = progress.batches.as_ref().map_or(&[][..], |(_, batches)| &batches[index]);
        let rate = schedule.at(step);
        let mode = Mode::Train { seed: self.options.seed, step };
        let (value, mut gradients) = self.gradients(rows, mode)?;
        let finite = |what, number: f64| {
            let error = TrainingError::NotFinite { what, step: step + 1, rate };
            if number.is_finite() { Ok(()) } else { Err(error) }
        };
        finite("loss", f64::from(value))?;
        let parameters = self.learner.parameters();
        let norm = gradients.norm()?;
        finite("gradient", norm)?;
        gradients.clip(norm, self.options.clip_norm);
        progress.optimiser.step(parameters.iter(), &gradients, rate)?;
        parameters.retract()?;
        progress.step += 1;
        if let Some(ranks) = &mut progress.ranks {
            ranks.after_step(progress.step, parameters, &gradients)?;
        }
        progress.history.losses.push(value);
        let (step, total, examples) = (progress.step, plan.total, rows.len());
        observer.on(&TrainingEvent::Step { step, total, loss: value, rate, examples });
        Ok(())
    }

    /// The mean loss of some rows and its gradient, computed in parts.
    fn gradients(&self, rows: &[usize], mode: Mode) -> Result<(f32, Gradients), TrainingError> {
        let size = rows.len().div_ceil(self.options.accumulate).max(1);
        let parts: Vec<&[usize]> = rows.chunks(size).collect();
        let mut all: Option<(f32, Gradients)> = None;
        for (&rows, share) in parts.iter().zip(self.shares(&parts, mode)) {
            if share == 0.0 {
                continue;
            }
            let (loss, gradients) =
                self.part(rows, mode, share).map_err(|e| self.explained(e, rows, mode))?;
            all = Some(match all {
                None => (loss, gradients),
                Some((sum, mut total)) => {
                    total.add(gradients)?;
                    (sum + loss, total)
                }
            });
        }
        all.ok_or(TrainingError::NoRows)
    }

    /// How much each part of a step counts.
    fn shares(&self, parts: &[&[usize]], mode: Mode) -> Vec<f64> {
        if parts.len() == 1 {
            return vec![1.0];
        }
        let losses = parts.iter().map(|rows| self.training.expected.losses(rows, mode) as f64);
        let losses: Vec<f64> = losses.collect();
        let all: f64 = losses.iter().sum();
        // A batch without anything to learn has a loss all the same.
        let share = |own| if all > 0.0 { own / all } else { 1.0 / parts.len() as f64 };
        losses.into_iter().map(share).collect()
    }

    /// What a part gives to the loss of a step, and its gradient. The penalty is not in the loss: the history holds what
    /// validation can be compared with.
    fn part(&self, rows: &[usize], mode: Mode, share: f64) -> Result<(f32, Gradients), TrainingError> {
        let recording = Recording::begin();
        let (prediction, cut) = self.learner.predict_in_step(self.training, rows, mode)?;
        let mut loss = self.training.expected.loss(&prediction, rows, mode)?;
        if share < 1.0 {
            loss = (loss * share)?;
        }
        let value = loss.clone();
        if let Some(penalty) = self.learner.penalty()? {
            loss = (loss + (penalty * share)?)?;
        }
        let parameters = self.learner.parameters();
        let gradients = Gradients::of_loss(recording, &loss, cut.as_ref(), &parameters.iter())?;
        if !self.learner.leaves_out() {
            gradients.check_complete(parameters.iter())?;
        }
        // Reading a number waits for the device, so it is read last.
        Ok((value.to_scalar()?, gradients))
    }

    /// How many of `rows` there is room for, where there was none for all.
    fn explained(&self, error: TrainingError, rows: &[usize], mode: Mode) -> TrainingError {
        if !is_out_of_memory(&error.to_string()) {
            return error;
        }
        let has_room = |count: usize| self.part(&rows[..count], mode, 1.0).is_ok();
        let (mut fits, mut fails) = (0, rows.len());
        while fails - fits > 1 {
            let middle = usize::midpoint(fits, fails);
            if has_room(middle) { fits = middle } else { fails = middle }
        }
        TrainingError::DeviceFull { examples: rows.len(), fits, batch_size: self.options.batch_size }
    }

    fn evaluate(
        &self,
        progress: &mut Progress,
        observer: &mut dyn TrainingObserver,
    ) -> Result<(), TrainingError> {
        let at_once = self.options.at_once();
        let measured = measure(self.learner, self.validation, at_once, |_| {})?;
        let step = progress.step;
        if !measured.loss.is_finite() {
            let rate = self.options.learning_rate;
            return Err(TrainingError::NotFinite { what: "validation loss", step, rate });
        }
        let evaluations = &mut progress.history.evaluations;
        evaluations.push(Evaluation { step, loss: measured.loss, scores: measured.scores });
        let latest = evaluations.len() - 1;
        let best = progress.history.best(self.options.selection()) == Some(latest);
        if best {
            progress.best = self.learner.parameters().snapshot()?;
        }
        observer.on(&TrainingEvent::Evaluated { evaluation: &progress.history.evaluations[latest], best });
        Ok(())
    }

    fn save(&self, progress: &Progress) -> Result<(), TrainingError> {
        let state = RunState {
            identity: self.identity.clone(),
            step: progress.step,
            parameters: self.learner.parameters().snapshot()?,
            best: progress.best.clone(),
            moments: progress.optimiser.state()?,
            ranks: progress.ranks.as_ref().map(|ranks| ranks.state().clone()).unwrap_or_default(),
            history: progress.history.clone(),
        };
        state.save(self.state_path)
    }
}
