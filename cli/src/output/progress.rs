//! Progress: bars where they can move, a few plain lines where they can't.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Printer, plain, units};

/// A plain line this often, for logs of long transfers.
const LINE_EVERY: Duration = Duration::from_secs(15);
/// Something that is over within this time needs no plain line on the way.
const FIRST_LINE: Duration = Duration::from_secs(5);

/// What the numbers of a progress count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes, with rate and time left.
    Bytes,
    /// Steps, with rate and time left.
    #[cfg_attr(not(feature = "stitch"), expect(dead_code, reason = "only computing commands count steps"))]
    Steps,
}

/// One thing that takes time.
pub(crate) struct Progress {
    printer: Printer,
    bar: Option<ProgressBar>,
    label: String,
    unit: Unit,
    total: u64,
    done: AtomicU64,
    started: Instant,
    last_line: Mutex<Instant>,
    message: Mutex<String>,
}

impl Progress {
    /// Starts with nothing done.
    pub(crate) fn new(printer: &Printer, label: &str, unit: Unit, total: u64) -> Self {
        let label = plain::line(label).into_owned();
        let bar = printer.shows_bars().then(|| {
            let bar = printer.bars().add(ProgressBar::new(total));
            bar.set_style(style(unit));
            bar.set_prefix(label.clone());
            bar
        });
        let started = Instant::now();
        Self {
            printer: printer.clone(),
            bar,
            label,
            unit,
            total,
            done: AtomicU64::new(0),
            started,
            last_line: Mutex::new(started + FIRST_LINE.saturating_sub(LINE_EVERY)),
            message: Mutex::default(),
        }
    }

    /// That much more is done.
    pub(crate) fn advance(&self, amount: u64) {
        let done = self.done.fetch_add(amount, Ordering::Relaxed) + amount;
        if let Some(bar) = &self.bar {
            bar.inc(amount);
        } else {
            self.maybe_line(done);
        }
    }

    /// That much is done in all; a bar does not count it into the rate.
    pub(crate) fn set(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.reset_eta();
        }
    }

    /// A few words after the numbers, such as a loss.
    #[cfg_attr(
        not(feature = "stitch"),
        expect(dead_code, reason = "only computing commands have more to say")
    )]
    pub(crate) fn message(&self, text: &str) {
        let text = plain::line(text).into_owned();
        if let Some(bar) = &self.bar {
            bar.set_message(text.clone());
        }
        *self.message.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.printer.bars().remove(bar);
        }
    }

    fn maybe_line(&self, done: u64) {
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < LINE_EVERY || done >= self.total || !self.printer.shows_status() {
            return;
        }
        *last = Instant::now();
        let percent = (100 * done).checked_div(self.total).unwrap_or(100);
        let elapsed = self.started.elapsed();
        let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
        let left = Duration::from_secs_f64((self.total - done) as f64 / rate.max(0.001));
        let amount = match self.unit {
            Unit::Bytes => format!(
                "{} of {}, {}/s",
                units::bytes(done),
                units::bytes(self.total),
                units::bytes(rate as u64)
            ),
            Unit::Steps => format!("{done} of {}, {rate:.1}/s", self.total),
        };
        let message = self.message.lock().unwrap_or_else(PoisonError::into_inner);
        let tail = if message.is_empty() { String::new() } else { format!(", {message}") };
        let text = format!("{}: {percent} % ({amount}), {} left{tail}", self.label, units::duration(left));
        self.printer.status(&text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn style(unit: Unit) -> ProgressStyle {
    let template = match unit {
        Unit::Bytes => {
            "{prefix:28!} {bar:24.cyan/dim} {percent:>3}%  {bytes:>10} of {total_bytes:<10} {bytes_per_sec:>12}  {eta:>4} left  {wide_msg}"
        }
        Unit::Steps => {
            "{prefix:28!} {bar:24.cyan/dim} {percent:>3}%  {human_pos:>7} of {human_len:<7} {per_sec:>10}  {eta:>4} left  {wide_msg}"
        }
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}
