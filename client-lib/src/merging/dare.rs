//! DARE: drop at random and rescale.
//!
//! Yu et al., "Language Models are Super Mario: Absorbing Abilities from Homologous
//! Models as a Free Lunch" (2024). Each element of a task vector is kept with
//! probability `density` and then divided by it, so its expectation stays.
//!
//! PEFT draws from PyTorch's global generator and takes no seed. Here what is
//! dropped is a pure function of the seed, the layer, the adapter's place in the
//! list, and the factor.

use hub_schemas::Digest;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Zeroes elements and divides the others by `density`, as `seed` and `place` say.
pub(super) fn drop_and_rescale(values: &mut [f64], density: f64, seed: u64, place: &str) {
    if density >= 1.0 {
        return;
    }
    let key = Digest::of(format!("dare\0{seed}\0{place}").as_bytes());
    let mut generator = ChaCha8Rng::from_seed(*key.as_bytes());
    for value in values {
        // 53 random bits make every double in [0, 1) that is a multiple of 2^-53.
        let uniform = (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        *value = if uniform < density { *value / density } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(density: f64, seed: u64, place: &str) -> Vec<f64> {
        let mut values = vec![1.0; 100_000];
        drop_and_rescale(&mut values, density, seed, place);
        values
    }

    #[test]
    fn a_share_of_the_elements_stays_and_the_mean_with_it() {
        for density in [0.1, 0.5, 0.9] {
            let values = dropped(density, 7, "a");
            let kept = values.iter().filter(|v| **v != 0.0).count() as f64 / 1e5;
            let mean = values.iter().sum::<f64>() / 1e5;
            // Five standard deviations of a binomial share.
            let bound = 5.0 * (density * (1.0 - density) / 1e5).sqrt();
            assert!((kept - density).abs() < bound, "{kept} of {density}");
            assert!((mean - 1.0).abs() < bound / density, "mean {mean}");
        }
    }

    #[test]
    fn the_seed_and_the_place_decide_what_is_dropped() {
        assert_eq!(dropped(0.5, 1, "a"), dropped(0.5, 1, "a"));
        assert_ne!(dropped(0.5, 1, "a"), dropped(0.5, 2, "a"));
        assert_ne!(dropped(0.5, 1, "a"), dropped(0.5, 1, "b"));
        assert_eq!(dropped(1.0, 1, "a"), vec![1.0; 100_000]);
    }
}
