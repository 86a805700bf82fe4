//! Initial weights: a pure function of the seed and the slot's name.
//!
//! Every slot has a generator of its own, so adding a parameter does not change
//! the others, and candle's CPU generator, which can't be seeded, is not used.

use hub_schemas::{Digest, layout::Slot};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::orthonormal::orthonormalise;

/// How the elements of one tensor are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initialiser {
    /// All the same.
    Constant(f32),
    /// N(0, std²).
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// N(0, std²), drawn again beyond two standard deviations.
    TruncatedNormal {
        /// Standard deviation.
        std: f64,
    },
    /// Uniform in ± `bound`.
    Uniform {
        /// Largest absolute value.
        bound: f64,
    },
    /// Uniform in ± `bound`, every second column the same as the one before.
    UniformPairs {
        /// Largest absolute value.
        bound: f64,
    },
    /// One value on the diagonal of a matrix, zero elsewhere.
    Diagonal {
        /// The value.
        value: f32,
    },
    /// Orthonormal rows, uniform among all such matrices; kept so by training.
    Orthonormal,
    /// Uniform in ±1/√fan_in: Kaiming-uniform (He et al. 2015) with a = √5, PyTorch's default for linear layers.
    KaimingUniform,
}

impl Initialiser {
    /// The elements of `slot`, row-major.
    pub fn draw(self, slot: &Slot, seed: u64) -> Vec<f32> {
        let mut rng = generator(&slot.name, seed);
        let fan_in = slot.shape.last().copied().unwrap_or(1).max(1) as f64;
        let columns = slot.shape.last().copied().unwrap_or(1).max(1);
        if self == Self::Orthonormal {
            let mut rows: Vec<f64> = (0..slot.len()).map(|_| normal(&mut rng)).collect();
            orthonormalise(&mut rows, columns);
            return rows.into_iter().map(|value| value as f32).collect();
        }
        let uniform = |rng: &mut ChaCha8Rng, bound: f64| ((rng.random::<f64>() * 2.0 - 1.0) * bound) as f32;
        let mut last = 0.0;
        let drawn = |index: usize| {
            last = match self {
                Self::Diagonal { value } if index / columns == index % columns => value,
                Self::Diagonal { .. } => 0.0,
                Self::Constant(value) => value,
                Self::Normal { std } => (std * normal(&mut rng)) as f32,
                Self::Orthonormal => normal(&mut rng) as f32,
                Self::TruncatedNormal { std } => (std * truncated(&mut rng)) as f32,
                Self::UniformPairs { .. } if !index.is_multiple_of(2) => last,
                Self::Uniform { bound } | Self::UniformPairs { bound } => uniform(&mut rng, bound),
                Self::KaimingUniform => uniform(&mut rng, 1.0 / fan_in.sqrt()),
            };
            last
        };
        (0..slot.len()).map(drawn).collect()
    }
}

/// `count` different numbers below `limit`, in order: a pure function of the seed and the slot's name.
pub(crate) fn draw_places(slot: &Slot, seed: u64, count: usize, limit: usize) -> Vec<usize> {
    let mut rng = generator(&slot.name, seed);
    let mut places = std::collections::BTreeSet::new();
    while places.len() < count.min(limit) {
        places.insert(rng.random_range(0..limit));
    }
    places.into_iter().collect()
}

fn generator(name: &str, seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(*Digest::of(format!("{seed}\0{name}").as_bytes()).as_bytes())
}

/// Box & Muller (1958), the cosine half.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

fn truncated(rng: &mut ChaCha8Rng) -> f64 {
    loop {
        let x = normal(rng);
        if x.abs() <= 2.0 {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use hub_schemas::layout::Place;

    use super::*;

    fn slot(name: &str) -> Slot {
        Slot::new(Place::Shared, name, &[100, 64])
    }

    #[test]
    fn the_same_seed_and_slot_give_the_same_numbers_and_others_do_not() {
        let draw = |name, seed| Initialiser::Normal { std: 0.02 }.draw(&slot(name), seed);
        assert_eq!(draw("a", 1), draw("a", 1));
        assert_ne!(draw("a", 1), draw("a", 2));
        assert_ne!(draw("a", 1), draw("b", 1));
    }

    #[test]
    fn the_distributions_have_their_moments_and_bounds() {
        let std = |values: &[f32]| {
            let n = values.len() as f64;
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            assert!(mean.abs() < 0.001, "mean {mean}");
            (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt()
        };
        let normal = Initialiser::Normal { std: 0.02 }.draw(&slot("n"), 1);
        assert!((std(&normal) - 0.02).abs() < 0.0006);
        let truncated = Initialiser::TruncatedNormal { std: 0.01 }.draw(&slot("t"), 1);
        assert!(truncated.iter().all(|v| v.abs() <= 0.02));
        let uniform = Initialiser::KaimingUniform.draw(&slot("u"), 1);
        assert!(uniform.iter().all(|v| v.abs() <= 0.125));
        assert!((std(&uniform) - 0.125 / 3f64.sqrt()).abs() < 0.002);
    }
}
