//! Transfers as the person sees them.

use hub_client::registry::{Direction, Event, Meter, Reporter, Transfer};

use super::{Printer, progress::Progress, progress::Unit, units};

/// Shows transfers through the printer.
pub(crate) struct Transfers(pub(crate) Printer);

impl Reporter for Transfers {
    fn transfer(&self, transfer: &Transfer<'_>) -> Box<dyn Meter> {
        let verb = match transfer.direction {
            Direction::Download => "continuing download of",
            Direction::Upload => "continuing upload of",
        };
        if transfer.resumed_at > 0 {
            let (name, at) = (transfer.name, units::bytes(transfer.resumed_at));
            self.0.status(&format!("{verb} `{name}` at {at} of {}", units::bytes(transfer.size)));
        }
        let progress = Progress::new(&self.0, transfer.name, Unit::Bytes, transfer.size);
        if transfer.resumed_at > 0 {
            progress.set(transfer.resumed_at);
        }
        Box::new(TransferMeter(progress))
    }

    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Skipped { name, size } => {
                if self.0.verbosity() > 0 {
                    self.0.status(&format!("`{name}` ({}) is there already", units::bytes(*size)));
                }
            }
            Event::Retrying { reason, wait, attempt } => {
                let wait = units::duration(*wait);
                self.0.warn(&format!("{reason}; trying again in {wait} (attempt {})", attempt + 1));
            }
            Event::Discarded { name } => {
                self.0.warn(&format!(
                    "what an earlier download of `{name}` left is damaged; fetching it again"
                ));
            }
            Event::Stale { what, age } => self.0.warn(&format!(
                "`{what}` is mirrored, and the registry where it comes from does not answer: this is what was known \
                 {} ago",
                units::duration(*age)
            )),
            Event::Moved { from, to } => {
                self.0.warn(&format!("`{from}` is called `{to}` now; use that name from here on"));
            }
            Event::Waiting { what } => self.0.status(&format!("waiting for {what}")),
        }
    }
}

struct TransferMeter(Progress);

impl Meter for TransferMeter {
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    fn set(&self, bytes: u64) {
        self.0.set(bytes);
    }
}
