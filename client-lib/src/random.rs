//! Seeded choices: the order of the data, and masked tokens. Written out, because they decide the bytes
//! of the result and must not change with a dependency's version.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// A generator that is a pure function of its arguments.
pub(super) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(stream);
    generator
}

/// Shuffles `items` (Fisher–Yates) as `seed` and `stream` say.
pub(super) fn shuffle<T>(items: &mut [T], seed: u64, stream: u64) {
    let mut generator = generator(seed, stream);
    for last in (1..items.len()).rev() {
        items.swap(last, below(&mut generator, last as u64 + 1) as usize);
    }
}

/// A uniform number below `bound`, by rejection of what would be uneven.
pub(super) fn below(generator: &mut ChaCha8Rng, bound: u64) -> u64 {
    let uneven = u64::MAX - u64::MAX % bound;
    loop {
        let drawn = generator.next_u64();
        if drawn < uneven {
            return drawn % bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_and_depends_on_seed_and_stream() {
        let order = |seed, stream| {
            let mut items: Vec<u32> = (0..100).collect();
            shuffle(&mut items, seed, stream);
            items
        };
        let mut sorted = order(1, 2);
        assert_ne!(sorted, order(1, 3));
        assert_ne!(sorted, order(2, 2));
        assert_eq!(sorted, order(1, 2));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
