//! Who watches a training run: the library reports, somebody else draws.

use super::history::Evaluation;
use crate::data::Notice;

/// What is about to be trained, and on what.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Preparation {
    /// Trainable numbers of the adapter method.
    pub method_parameters: usize,
    /// Trainable numbers of the head.
    pub head_parameters: usize,
    /// Frozen numbers of the backbone.
    pub backbone_parameters: usize,
    /// Examples to train on.
    pub training_examples: usize,
    /// Examples to choose the best checkpoint by.
    pub validation_examples: usize,
    /// Examples for the final measurement.
    pub test_examples: usize,
    /// Number of labels.
    pub labels: usize,
    /// Steps in all.
    pub steps: u64,
    /// Share of the positions in the first epoch's batches that are padding.
    pub padding_share: f64,
}

impl Preparation {
    /// Trainable numbers relative to the backbone's.
    pub fn trainable_share(&self) -> f64 {
        (self.method_parameters + self.head_parameters) as f64 / self.backbone_parameters.max(1) as f64
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum TrainingEvent<'a> {
    /// Something about the data that a person should read.
    Notice(&'a Notice),
    /// Everything is read; training can begin.
    Prepared(&'a Preparation),
    /// One of several stages begins.
    Stage {
        /// What it trains.
        what: &'static str,
        /// Its steps in all.
        steps: u64,
    },
    /// An interrupted run goes on.
    Resumed {
        /// Steps it has done.
        step: u64,
    },
    /// The frozen backbone has read so many examples, once and for all (last layer only).
    Features {
        /// Examples read.
        done: usize,
        /// Of how many.
        total: usize,
    },
    /// One step was done.
    Step {
        /// Its number, from 1.
        step: u64,
        /// Steps in all.
        total: u64,
        /// The loss of its batch.
        loss: f32,
        /// Its learning rate.
        rate: f64,
        /// Examples in its batch.
        examples: usize,
    },
    /// The validation examples were measured.
    Evaluated {
        /// The result.
        evaluation: &'a Evaluation,
        /// Whether it is the best so far.
        best: bool,
    },
    /// The run was saved, so that it can be resumed from here.
    Saved {
        /// Steps it has done.
        step: u64,
    },
}

/// Watches a training run and may ask it to stop.
pub trait TrainingObserver {
    /// Something happened.
    fn on(&mut self, event: &TrainingEvent<'_>);

    /// Asked after every step: `true` saves the run and stops.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl TrainingObserver for Unobserved {
    fn on(&mut self, _: &TrainingEvent<'_>) {}
}
