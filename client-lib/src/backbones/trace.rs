//! What a forward pass notes about its own choices, for people who ask why.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;

/// A choice that was made at one place.
#[derive(Debug, Clone)]
pub enum Noted {
    /// How much each member of a fusion counted for every token.
    Fusion {
        /// Where: `layers.3.ffn`.
        place: String,
        /// The members, as indices into the adapters.
        members: Vec<usize>,
        /// `[b, t, members]`, each row a sum of one.
        shares: Tensor,
    },
    /// How far a gate was open for each row.
    Gate {
        /// Where: `layers.3.query`.
        place: String,
        /// `[b, 1, gates]`, between zero and one.
        open: Tensor,
    },
}

/// The notes of one forward pass.
#[derive(Debug, Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<Noted>>>);

impl Trace {
    /// Adds a note.
    pub(crate) fn note(&self, noted: Noted) {
        // A note is pushed whole or not at all.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
    }

    /// All notes, in the order of computation.
    pub fn take(&self) -> Vec<Noted> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
