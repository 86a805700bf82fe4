//! `training-log.jsonl`: what happened when, for people and scripts.
//!
//! It holds times, so it is no part of the published adapter.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
    time::Instant,
};

use serde_json::{Value, json};

use super::observer::{TrainingEvent, TrainingObserver};

/// File name of the log inside the output folder.
pub const LOG_FILE: &str = "training-log.jsonl";

/// Writes every event to the log and passes it on.
pub(super) struct Logged<'a> {
    inner: &'a mut dyn TrainingObserver,
    /// Gone after a failed write: a full disk stops the run where it saves, not here.
    file: Option<File>,
    started: Instant,
}

impl<'a> Logged<'a> {
    /// Goes on with the log in `folder`, or begins a new one.
    pub(super) fn new(folder: &Path, resume: bool, inner: &'a mut dyn TrainingObserver) -> Self {
        let mut options = OpenOptions::new();
        options.create(true).write(true).append(resume).truncate(!resume);
        Self { inner, file: options.open(folder.join(LOG_FILE)).ok(), started: Instant::now() }
    }
}

impl TrainingObserver for Logged<'_> {
    fn on(&mut self, event: &TrainingEvent<'_>) {
        let seconds = (self.started.elapsed().as_secs_f64() * 1e3).round() / 1e3;
        if let (Some(file), Some(mut line)) = (&mut self.file, entry(event)) {
            line["seconds"] = json!(seconds);
            if writeln!(file, "{line}").is_err() {
                tracing::warn!("can't write the training log; it ends here");
                self.file = None;
            }
        }
        self.inner.on(event);
    }

    fn should_stop(&self) -> bool {
        self.inner.should_stop()
    }
}

fn entry(event: &TrainingEvent<'_>) -> Option<Value> {
    Some(match event {
        TrainingEvent::Features { .. } => return None,
        TrainingEvent::Notice(notice) => json!({"event": "notice", "text": notice.to_string()}),
        TrainingEvent::Prepared(preparation) => json!({"event": "prepared", "sizes": preparation}),
        TrainingEvent::Stage { what, steps } => json!({"event": "stage", "what": what, "steps": steps}),
        TrainingEvent::Resumed { step } => json!({"event": "resumed", "step": step}),
        TrainingEvent::Step { step, loss, rate, examples, .. } => {
            json!({"event": "step", "step": step, "loss": loss, "learning_rate": rate, "examples": examples})
        }
        TrainingEvent::Evaluated { evaluation, best } => {
            let (step, loss) = (evaluation.step, evaluation.loss);
            let mut entry = json!({"event": "evaluated", "step": step, "loss": loss, "best": best});
            for (metric, value) in &evaluation.scores.values {
                entry[metric.as_str()] = json!(value);
            }
            entry
        }
        TrainingEvent::Saved { step } => json!({"event": "saved", "step": step}),
    })
}
