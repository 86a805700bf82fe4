//! `AdapterDrop` in training (Rücklé et al. 2021): in every step a random number of the first
//! layers runs without adapters, so that later as many can be left out as the time allows.

use hub_schemas::Digest;

use crate::backbones::Mode;

/// The layers of a backbone of which some are dropped: from none to all but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerDrop {
    num_layers: usize,
}

impl LayerDrop {
    /// Drops among the layers of a backbone with so many.
    pub const fn new(num_layers: usize) -> Self {
        Self { num_layers }
    }

    /// Whether a layer is dropped: with `n` uniform in `0..num_layers` those below `n` are.
    /// `n` is a pure function of the run's seed and the step.
    pub(super) fn skips(self, layer: usize, mode: Mode) -> bool {
        match mode {
            Mode::Eval => false,
            Mode::Train { seed, step } => layer < self.dropped(seed, step),
        }
    }

    fn dropped(self, seed: u64, step: u64) -> usize {
        let digest = Digest::of(format!("adapter drop\0{seed}\0{step}").as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.as_bytes()[..8]);
        // A backbone has so few layers that the remainder is even for all purposes.
        (u64::from_le_bytes(bytes) % self.num_layers.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_layers_but_all_of_them_is_dropped_sometimes() {
        let drop = LayerDrop::new(4);
        let mut seen: Vec<usize> = (0..100).map(|step| drop.dropped(1, step)).collect();
        assert_eq!(seen, (0..100).map(|step| drop.dropped(1, step)).collect::<Vec<_>>());
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 1, 2, 3]);
        assert!(!drop.skips(0, Mode::Eval));
    }
}
