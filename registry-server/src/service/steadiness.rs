//! Watching the system's clock, for whatever is removed by its age.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use time::OffsetDateTime;

use crate::domain::steadiness::{REST, Reading, Steadiness, Verdict};

/// The clock of this process.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    began: Instant,
    seen: Mutex<Steadiness>,
}

impl Default for ClockWatch {
    fn default() -> Self {
        let began = Instant::now();
        Self { began, seen: Mutex::new(Steadiness::new(reading(began))) }
    }
}

impl ClockWatch {
    /// Whether ages can be believed; a jump is said in the log once.
    pub(crate) fn is_steady(&self) -> bool {
        let now = reading(self.began);
        let verdict = self.seen.lock().unwrap_or_else(PoisonError::into_inner).look(now);
        if let Verdict::Jumped(by) = verdict {
            tracing::warn!(
                clock.jump_seconds = by.whole_seconds(),
                "The system's clock jumped by {by}: for {} minutes nothing is removed by its age",
                REST.as_secs() / 60
            );
        }
        verdict == Verdict::Steady
    }
}

fn reading(began: Instant) -> Reading {
    Reading { date: OffsetDateTime::now_utc(), counted: began.elapsed() }
}
