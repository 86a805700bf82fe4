//! Training as people watch it: a bar with loss, score, rate and time left.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use hub_client::{
    data::Notice,
    metrics::Metric,
    training::{Preparation, TrainingEvent, TrainingObserver},
};

use crate::output::{
    Printer,
    progress::{Progress, Unit},
};

/// Draws what happens, and hears Ctrl-C.
pub(super) struct Watcher {
    printer: Printer,
    stop: Arc<AtomicBool>,
    steps: u64,
    bar: Option<Progress>,
    /// Running mean of the loss: single batches jump.
    loss: Option<f64>,
    score: Option<(Metric, f64)>,
    told_stop: bool,
}

/// Says what was noticed, as a warning where it may not be what somebody wants.
pub(super) fn tell(printer: &Printer, notice: &Notice) {
    match notice {
        Notice::Leak { .. } | Notice::Apart { .. } => printer.warn(&notice.to_string()),
        _ => printer.status(&notice.to_string()),
    }
}

impl Watcher {
    /// Nothing has happened yet.
    pub(super) fn new(printer: &Printer, stop: Arc<AtomicBool>) -> Self {
        let printer = printer.clone();
        Self { printer, stop, steps: 0, bar: None, loss: None, score: None, told_stop: false }
    }

    fn message(&self) -> String {
        let loss = self.loss.map(|loss| format!("loss {loss:.4}"));
        let score = self.score.map(|(metric, value)| format!("{} {value:.4}", metric.title()));
        loss.into_iter().chain(score).collect::<Vec<_>>().join("  ")
    }

    fn features(&mut self, done: usize, total: usize) {
        let bar = self
            .bar
            .get_or_insert_with(|| Progress::new(&self.printer, "features", Unit::Steps, total as u64));
        bar.set(done as u64);
        if done == total {
            self.bar = None;
        }
    }

    fn step(&mut self, step: u64, total: u64, loss: f32) {
        let loss = f64::from(loss);
        self.loss = Some(self.loss.map_or(loss, |mean| 0.9 * mean + 0.1 * loss));
        let message = self.message();
        let bar = self.bar.get_or_insert_with(|| {
            let bar = Progress::new(&self.printer, "training", Unit::Steps, total);
            // A resumed run does not begin at nothing.
            bar.set(step - 1);
            bar
        });
        bar.message(&message);
        bar.advance(1);
        if !self.told_stop && self.stop.load(Ordering::SeqCst) {
            self.told_stop = true;
            self.printer.status("saving the run; Ctrl-C again ends at once");
        }
    }
}

impl TrainingObserver for Watcher {
    fn on(&mut self, event: &TrainingEvent<'_>) {
        match event {
            TrainingEvent::Notice(notice) => tell(&self.printer, notice),
            TrainingEvent::Prepared(sizes) => {
                self.steps = sizes.steps;
                self.printer.status(&format!(
                    "training {} numbers ({:.2} % of the backbone) on {}; {:.1} % padding",
                    sizes.method_parameters + sizes.head_parameters,
                    100.0 * sizes.trainable_share(),
                    examples(sizes),
                    100.0 * sizes.padding_share,
                ));
            }
            TrainingEvent::Stage { what, steps } => {
                (self.steps, self.bar, self.loss, self.score) = (*steps, None, None, None);
                self.printer.status(&format!("training {what}"));
            }
            TrainingEvent::Resumed { step } => {
                self.printer.status(&format!("going on after step {step} of {}", self.steps));
            }
            TrainingEvent::Features { done, total } => self.features(*done, *total),
            TrainingEvent::Step { step, total, loss, .. } => self.step(*step, *total, *loss),
            TrainingEvent::Evaluated { evaluation, best } => {
                self.score = evaluation.scores.values.first().copied();
                self.printer.status(&format!(
                    "step {}: validation loss {:.4}, {}{}",
                    evaluation.step,
                    evaluation.loss,
                    evaluation.scores.summary(),
                    if *best { " (best)" } else { "" },
                ));
            }
            TrainingEvent::Saved { .. } => {}
        }
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// `900 examples, 100 for validation`.
pub(super) fn examples(sizes: &Preparation) -> String {
    let Preparation { training_examples, validation_examples, test_examples, .. } = sizes;
    let text = format!("{training_examples} examples, {validation_examples} for validation");
    if *test_examples == 0 { text } else { format!("{text}, {test_examples} for testing") }
}
