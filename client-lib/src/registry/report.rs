//! What goes on during transfers, told to whoever shows it.

use std::{sync::Arc, time::Duration};

use hub_schemas::Digest;

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the registry.
    Download,
    /// To the registry.
    Upload,
}

/// A file that is about to move.
#[derive(Debug, Clone)]
pub struct Transfer<'a> {
    /// Which way.
    pub direction: Direction,
    /// Its name in the adapter.
    pub name: &'a str,
    /// Its content.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that an earlier attempt moved already.
    pub resumed_at: u64,
}

/// Something worth a word that is no transfer.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// A file is on the other side already.
    Skipped {
        /// Its name in the adapter.
        name: &'a str,
        /// Its size in bytes.
        size: u64,
    },
    /// A request failed and is repeated.
    Retrying {
        /// What went wrong.
        reason: &'a str,
        /// How long is waited before.
        wait: Duration,
        /// Which repetition this is, from 1.
        attempt: u32,
    },
    /// Bytes that were here or arrived are not the right ones; they are fetched again.
    Discarded {
        /// Name of the file.
        name: &'a str,
    },
    /// The registry mirrors this from another one, which it could not ask.
    Stale {
        /// What.
        what: &'a str,
        /// How old its answer is.
        age: Duration,
    },
    /// An adapter has another name now, which the registry leads to.
    Moved {
        /// Its old name, which was asked for.
        from: &'a str,
        /// Its name.
        to: &'a str,
    },
    /// Another `hub` process works on the same thing.
    Waiting {
        /// On what.
        what: &'a str,
    },
}

/// Shows transfers. The library itself never prints.
pub trait Reporter: Send + Sync {
    /// A file is about to move; its progress goes to the meter.
    fn transfer(&self, transfer: &Transfer<'_>) -> Box<dyn Meter>;
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Progress of one file. Dropped when the file is through, or given up.
pub trait Meter: Send + Sync {
    /// So many more bytes moved.
    fn advance(&self, bytes: u64);
    /// So many bytes are there in all: after a failure some may have to move again.
    fn set(&self, bytes: u64);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMeter;

impl Silent {
    /// As the client wants it.
    pub fn shared() -> Arc<dyn Reporter> {
        Arc::new(Self)
    }
}

impl Reporter for Silent {
    fn transfer(&self, _: &Transfer<'_>) -> Box<dyn Meter> {
        Box::new(NoMeter)
    }
    fn event(&self, _: &Event<'_>) {}
}

impl Meter for NoMeter {
    fn advance(&self, _: u64) {}
    fn set(&self, _: u64) {}
}
