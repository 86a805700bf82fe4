//! What architectures choose between.

use super::{DistanceBuckets, FrameGrid, PatchGrid};

/// Where the norms of a block stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormOrder {
    /// Behind each residual sum (Vaswani et al. 2017): a norm also follows the embeddings.
    Post,
    /// In front of each sub-layer (Radford et al. 2019): a norm also follows the last block.
    Pre,
}

/// How positions get into the computation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Positions {
    /// A learned row per position, counted from 0.
    Learned,
    /// The same, counted over the tokens that are not padding from behind the padding id,
    /// which only padding has as its position (RoBERTa).
    LearnedFromPadding(u32),
    /// A learned row per position, behind so many rows that no position has (BART).
    LearnedBehind(usize),
    /// Scores of attention get a learned number for every distance.
    Distances(DistanceBuckets),
    /// Queries and keys are turned.
    Rotary(Rope),
    /// A learned row per patch of an image, and one for the class token in front.
    Grid(PatchGrid),
    /// A row per second frame of a spectrogram.
    Frames(FrameGrid),
}

/// The frequencies of rotary positions (Su et al. 2021).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// The base: component `i` of `d/2` turns by `base^(−2i/d)` per position.
    pub theta: f64,
    /// How the frequencies are stretched for longer inputs.
    pub scaling: RopeScaling,
}

/// How frequencies are stretched for inputs longer than those of pre-training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All by the same factor (Chen et al. 2023).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Slow ones by a factor, fast ones not, those between by a blend: Llama 3.1.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Waves longer than the original context divided by this are slow.
        low_freq_factor: f64,
        /// Waves shorter than the original context divided by this are fast.
        high_freq_factor: f64,
        /// The context of pre-training.
        original: f64,
    },
    /// Slow ones by a factor, fast ones not, those between by a blend over their number (Peng et al. 2023).
    Yarn(Yarn),
    /// Not at all up to the context of pre-training; beyond, the base grows with the length (dynamic NTK, bloc97 2023).
    Dynamic {
        /// How fast it grows.
        factor: f64,
        /// The context of pre-training.
        original: usize,
    },
}

/// The numbers of `YaRN`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yarn {
    /// The factor.
    pub factor: f64,
    /// What queries and keys are multiplied with when they are turned.
    pub attention: f64,
    /// Frequencies that turn more often in the original context are fast.
    pub beta_fast: f64,
    /// Frequencies that turn less often in the original context are slow.
    pub beta_slow: f64,
    /// The context of pre-training.
    pub original: f64,
    /// Whether the blend begins and ends at whole numbers.
    pub truncates: bool,
}

impl Yarn {
    /// Frequency `i` of a head of `width` components, of which `plain` is what it would be.
    fn frequency(&self, plain: f32, (i, width): (usize, usize), theta: f64) -> f32 {
        let dimension = |turns: f64| {
            width as f64 * (self.original / (turns * std::f64::consts::TAU)).ln() / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (dimension(self.beta_fast), dimension(self.beta_slow));
        if self.truncates {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(width as f64 - 1.0));
        if (high - low).abs() <= 0.0 {
            high += 0.001; // as the library does
        }
        let slow = ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
        let stretched = 1.0 / (self.factor as f32 * (1.0 / plain));
        stretched * slow + plain * (1.0 - slow)
    }
}

impl Positions {
    /// Whether what a position means depends on how many there are: of the longest row of a batch.
    pub const fn depend_on_company(&self) -> bool {
        matches!(self, Self::Rotary(Rope { scaling: RopeScaling::Dynamic { .. }, .. }))
    }
}

impl Rope {
    /// The frequency of each of the `width / 2` pairs, rounded to single precision as in the
    /// library the checkpoints come from, for an input of so many tokens.
    pub fn frequencies(&self, width: usize, tokens: usize) -> Vec<f32> {
        let theta = self.base(width, tokens);
        let plain = |i: usize| {
            let exponent = (2 * i) as f32 / width as f32;
            1.0 / (theta.powf(f64::from(exponent)) as f32)
        };
        (0..width / 2).map(|i| self.scaled(plain(i), (i, width))).collect()
    }

    /// The base for an input of so many tokens: `b · (f n / n₀ − (f − 1))^(w / (w − 2))` where it is dynamic.
    fn base(&self, width: usize, tokens: usize) -> f64 {
        match self.scaling {
            RopeScaling::Dynamic { factor, original } if tokens > original => {
                let (width, longer) = (width as f64, tokens as f64 / original as f64);
                self.theta * (factor * longer - (factor - 1.0)).powf(width / (width - 2.0))
            }
            _ => self.theta,
        }
    }

    /// What queries and keys are multiplied with when they are turned.
    pub const fn attention_factor(&self) -> f32 {
        match self.scaling {
            RopeScaling::Yarn(yarn) => yarn.attention as f32,
            _ => 1.0,
        }
    }

    fn scaled(&self, frequency: f32, place: (usize, usize)) -> f32 {
        match self.scaling {
            RopeScaling::None | RopeScaling::Dynamic { .. } => frequency,
            RopeScaling::Linear { factor } => frequency / factor as f32,
            RopeScaling::Yarn(yarn) => yarn.frequency(frequency, place, self.theta),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original } => {
                let (f, wave) = (f64::from(frequency), std::f64::consts::TAU / f64::from(frequency));
                if wave < original / high_freq_factor {
                    frequency
                } else if wave > original / low_freq_factor {
                    (f / factor) as f32
                } else {
                    let share = (original / wave - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    ((1.0 - share) * f / factor + share * f) as f32
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slow_waves_are_stretched_as_in_llama_3() {
        let plain = Rope { theta: 500_000.0, scaling: RopeScaling::None };
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original: 8192.0,
        };
        let (plain, scaled) = (plain.frequencies(128, 16), Rope { scaling, ..plain }.frequencies(128, 16));
        assert_eq!(plain[0].to_bits(), scaled[0].to_bits());
        assert_eq!((plain[63] / 8.0).to_bits(), scaled[63].to_bits());
        assert!(plain.iter().zip(&scaled).all(|(p, s)| (p / 8.0..=*p).contains(s)));
    }
}
