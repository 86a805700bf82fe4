//! Which examples stand in which batch.
//!
//! A batch is padded to its longest row, so rows of like length belong together.
//! The order stays random where it matters: examples are shuffled, cut into pools
//! of a fixed number of batches, sorted by length inside a pool, and the batches shuffled.

use crate::random::shuffle;

/// Batches per pool. Larger pools pad less, smaller ones mix more; at 32 batches of
/// 32 short texts about 3 % of the tokens are padding.
const POOL: usize = 32;

/// The batches of one epoch: every example exactly once. A pure function of its arguments.
pub fn epoch_batches(lengths: &[usize], batch_size: usize, seed: u64, epoch: u64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    shuffle(&mut order, seed, 2 * epoch);
    for pool in order.chunks_mut(batch_size * POOL) {
        pool.sort_by_key(|&example| lengths[example]);
    }
    let mut batches: Vec<Vec<usize>> = order.chunks(batch_size).map(<[usize]>::to_vec).collect();
    shuffle(&mut batches, seed, 2 * epoch + 1);
    batches
}

/// Batches for measuring: by length, longest first, so that the first one shows
/// whether the memory suffices.
pub fn sorted_batches(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&example| std::cmp::Reverse(lengths[example]));
    order.chunks(batch_size).map(<[usize]>::to_vec).collect()
}

/// The share of positions that would be padding, over all of `batches`.
pub fn padding_share(lengths: &[usize], batches: &[Vec<usize>]) -> f64 {
    let tokens: usize = lengths.iter().sum();
    let longest = |batch: &Vec<usize>| batch.iter().map(|&example| lengths[example]).max().unwrap_or(0);
    let positions: usize = batches.iter().map(|batch| batch.len() * longest(batch)).sum();
    if positions == 0 { 0.0 } else { 1.0 - tokens as f64 / positions as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(count: usize) -> Vec<usize> {
        (0..count).map(|i| 3 + (i * 7919) % 60).collect()
    }

    #[test]
    fn every_example_stands_in_exactly_one_batch() {
        for count in [1, 31, 32, 33, 2500] {
            for batches in [epoch_batches(&lengths(count), 32, 5, 1), sorted_batches(&lengths(count), 32)] {
                assert!(batches.iter().all(|batch| (1..=32).contains(&batch.len())));
                let mut all: Vec<usize> = batches.concat();
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn epochs_differ_and_repeat_exactly() {
        let batches = |epoch| epoch_batches(&lengths(500), 16, 5, epoch);
        assert_eq!(batches(0), batches(0));
        assert_ne!(batches(0), batches(1));
    }

    #[test]
    fn like_lengths_stand_together() {
        let lengths = lengths(4096);
        let bucketed = padding_share(&lengths, &epoch_batches(&lengths, 32, 1, 0));
        let in_file_order: Vec<Vec<usize>> =
            (0..4096).collect::<Vec<_>>().chunks(32).map(<[usize]>::to_vec).collect();
        let unsorted = padding_share(&lengths, &in_file_order);
        assert!(bucketed < 0.05 && unsorted > 0.4, "{bucketed} against {unsorted}");
    }
}
