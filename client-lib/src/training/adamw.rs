//! AdamW (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019).
//!
//! With gradient `g` at step `t` from 1 and learning rate `η`:
//! `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
//! `θ ← θ − η λ θ − η · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)`.
//!
//! Written over plain slices rather than tensors: an adapter is small, every
//! result is the same on every run, and the moments can be saved for resuming.

use std::collections::{BTreeMap, btree_map::Entry};

use candle_core::{Tensor, Var, backprop::GradStore};

use super::{
    TrainingError,
    transfer::{from_device, to_device},
};
use crate::{model::Cut, params::Parameters};

/// Constants of the update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Keeps the division finite.
    pub epsilon: f64,
    /// Weight decay per unit of learning rate, on matrices only.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

/// Running means of a parameter's gradient.
#[derive(Debug, Clone, Default, PartialEq)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// Gradients by slot.
#[derive(Debug)]
pub struct Gradients(BTreeMap<String, Vec<f32>>);

impl Gradients {
    /// The gradient of a loss, on through the blocks where the pass was cut. Parameters that the step has not used have
    /// none; they, and what the optimiser remembers of them, stay as they are.
    pub fn of_loss(
        loss: &Tensor,
        cut: Option<&Cut<'_>>,
        parameters: &Parameters,
    ) -> Result<Self, TrainingError> {
        let store = loss.backward()?;
        let mut all = Self::collect(&store, parameters.iter())?;
        if let Some(cut) = cut {
            cut.backward(&store, |store| {
                all.add(Self::collect(store, parameters.iter())?);
                Ok::<_, TrainingError>(())
            })?;
        }
        Ok(all)
    }

    /// Refuses when a parameter has none: it would silently stay what it was.
    pub fn check_complete<'p>(
        &self,
        mut parameters: impl Iterator<Item = (&'p str, &'p Var)>,
    ) -> Result<(), TrainingError> {
        match parameters.find(|(slot, _)| !self.0.contains_key(*slot)) {
            Some((slot, _)) => Err(TrainingError::NoGradient { slot: slot.to_owned() }),
            None => Ok(()),
        }
    }

    /// The gradient of one slot, row-major.
    pub fn get(&self, slot: &str) -> Option<&[f32]> {
        self.0.get(slot).map(Vec::as_slice)
    }

    #[cfg(test)]
    pub(super) const fn new(gradients: BTreeMap<String, Vec<f32>>) -> Self {
        Self(gradients)
    }

    fn collect<'p>(
        store: &GradStore,
        parameters: impl Iterator<Item = (&'p str, &'p Var)>,
    ) -> Result<Self, TrainingError> {
        let used = parameters.filter_map(|(slot, var)| Some((slot.to_owned(), store.get(var)?.clone())));
        let (slots, gradients): (Vec<String>, Vec<Tensor>) = used.unzip();
        Ok(Self(slots.into_iter().zip(from_device(&gradients)?).collect()))
    }

    /// Adds what another part of the same step gives.
    pub fn add(&mut self, other: Self) {
        for (slot, gradient) in other.0 {
            match self.0.entry(slot) {
                Entry::Vacant(entry) => drop(entry.insert(gradient)),
                Entry::Occupied(mut entry) => {
                    entry.get_mut().iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
                }
            }
        }
    }

    /// The Euclidean norm over all parameters together.
    pub fn norm(&self) -> f64 {
        let square = |values: &Vec<f32>| values.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>();
        self.0.values().map(square).sum::<f64>().sqrt()
    }

    /// Scales all gradients together so that their norm, which is `norm`, is at most `max`.
    pub fn clip(&mut self, norm: f64, max: f64) {
        if norm > max {
            let factor = (max / norm) as f32;
            self.0.values_mut().flatten().for_each(|g| *g *= factor);
        }
    }
}

/// The optimiser: its constants and what it remembers.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    config: AdamWConfig,
    steps: u64,
    moments: BTreeMap<String, Moments>,
}

impl AdamW {
    /// An optimiser that has seen no gradient yet.
    pub const fn new(config: AdamWConfig) -> Self {
        Self { config, steps: 0, moments: BTreeMap::new() }
    }

    /// Updates every parameter with its gradient.
    pub fn step<'p>(
        &mut self,
        parameters: impl Iterator<Item = (&'p str, &'p Var)>,
        gradients: &Gradients,
        rate: f64,
    ) -> Result<(), TrainingError> {
        self.steps += 1;
        let used = parameters.filter_map(|(slot, var)| Some((slot, var, gradients.0.get(slot)?)));
        let used: Vec<_> = used.collect();
        let vars: Vec<&Var> = used.iter().map(|(_, var, _)| *var).collect();
        let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let mut all = from_device(&tensors)?;
        for ((slot, var, gradient), values) in used.into_iter().zip(&mut all) {
            let moments = self.moments.entry(slot.to_owned()).or_insert_with(|| Moments {
                first: vec![0.0; values.len()],
                second: vec![0.0; values.len()],
            });
            // Biases and the gains of norms are vectors; pulling them to zero is no regularisation.
            let decay = if var.rank() > 1 { self.config.weight_decay } else { 0.0 };
            update(&self.config, self.steps, rate, decay, values, moments, gradient);
        }
        Ok(to_device(&vars, all)?)
    }

    /// What has to be saved to go on later: `first.<slot>` and `second.<slot>`.
    pub fn state(&self) -> BTreeMap<String, Vec<f32>> {
        let named = |(slot, moments): (&String, &Moments)| {
            [
                (format!("first.{slot}"), moments.first.clone()),
                (format!("second.{slot}"), moments.second.clone()),
            ]
        };
        self.moments.iter().flat_map(named).collect()
    }

    /// The optimiser as it was after `steps` steps, with the [`state`](Self::state) of then.
    pub fn restore(config: AdamWConfig, steps: u64, mut state: BTreeMap<String, Vec<f32>>) -> Self {
        let slots: Vec<String> =
            state.keys().filter_map(|k| Some(k.strip_prefix("first.")?.to_owned())).collect();
        let mut take = |key: String| state.remove(&key).unwrap_or_default();
        let moments = slots
            .into_iter()
            .map(|slot| {
                let moments =
                    Moments { first: take(format!("first.{slot}")), second: take(format!("second.{slot}")) };
                (slot, moments)
            })
            .collect();
        Self { config, steps, moments }
    }
}

fn update(
    config: &AdamWConfig,
    step: u64,
    rate: f64,
    decay: f64,
    values: &mut [f32],
    moments: &mut Moments,
    gradient: &[f32],
) {
    let (beta1, beta2) = (config.beta1 as f32, config.beta2 as f32);
    let step = i32::try_from(step).unwrap_or(i32::MAX);
    let correction1 = 1.0 - config.beta1.powi(step);
    let correction2 = 1.0 - config.beta2.powi(step);
    let size = (rate / correction1) as f32;
    let root = correction2.sqrt() as f32;
    let kept = (1.0 - rate * decay) as f32;
    let epsilon = config.epsilon as f32;
    let moments = moments.first.iter_mut().zip(&mut moments.second);
    for ((value, &g), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
        *first = beta1 * *first + (1.0 - beta1) * g;
        *second = beta2 * *second + (1.0 - beta2) * g * g;
        *value = kept * *value - size * *first / (second.sqrt() / root + epsilon);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// The formulas of the module's first lines, one number at a time, in double precision.
    fn reference(start: f64, gradients: &[f64], rate: f64, decay: f64) -> f64 {
        let (mut value, mut m, mut v) = (start, 0.0, 0.0);
        for (t, g) in (1..).zip(gradients) {
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.9_f64.powi(t)), v / (1.0 - 0.999_f64.powi(t)));
            value = value - rate * decay * value - rate * m_hat / (v_hat.sqrt() + 1e-8);
        }
        value
    }

    fn gradients(slot: &str, values: &[f32]) -> Gradients {
        Gradients([(slot.to_owned(), values.to_vec())].into())
    }

    #[test]
    fn ten_steps_equal_a_reference_in_double_precision() {
        let device = Device::Cpu;
        let weight = Var::new(&[[0.5_f32, -1.5, 0.0]], &device).expect("a weight");
        let bias = Var::new(&[0.5_f32, -1.5, 0.0], &device).expect("a bias");
        let config = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
        let mut optimiser = AdamW::new(config);
        let history: Vec<[f32; 3]> = (0..10).map(|t| [0.3 - 0.1 * t as f32, 1e-4 * t as f32, -2.0]).collect();
        for step in &history {
            let both = Gradients([("w".to_owned(), step.to_vec()), ("b".to_owned(), step.to_vec())].into());
            optimiser.step([("w", &weight), ("b", &bias)].into_iter(), &both, 0.01).expect("steps");
        }
        for (var, decay) in [(&weight, 0.1), (&bias, 0.0)] {
            let found = var.flatten_all().and_then(|v| v.to_vec1::<f32>()).expect("values");
            for (i, start) in [0.5, -1.5, 0.0].into_iter().enumerate() {
                let series: Vec<f64> = history.iter().map(|g| f64::from(g[i])).collect();
                let expected = reference(start, &series, 0.01, decay);
                assert!((f64::from(found[i]) - expected).abs() < 2e-6, "{} is not {expected}", found[i]);
            }
        }
    }

    #[test]
    fn a_restored_optimiser_goes_on_exactly() {
        let device = Device::Cpu;
        let run = |interrupt: bool| {
            let weight = Var::new(&[[0.5_f32, -1.5]], &device).expect("a weight");
            let mut optimiser = AdamW::new(AdamWConfig::default());
            for t in 0..6_u8 {
                let g = gradients("w", &[f32::from(t) * 0.3 - 0.5, 0.25]);
                optimiser.step([("w", &weight)].into_iter(), &g, 0.01).expect("steps");
                if interrupt && t == 2 {
                    optimiser = AdamW::restore(AdamWConfig::default(), 3, optimiser.state());
                }
            }
            (weight.to_vec2::<f32>().expect("values"), optimiser)
        };
        assert_eq!(run(true), run(false));
    }

    #[test]
    fn clipping_keeps_the_direction_and_bounds_the_norm() {
        let mut large = gradients("w", &[3.0, 4.0]);
        large.clip(large.norm(), 1.0);
        assert_eq!(large.0["w"], [0.6, 0.8]);
        let mut small = gradients("w", &[0.3, 0.4]);
        small.clip(small.norm(), 1.0);
        assert_eq!(small.0["w"], [0.3, 0.4]);
    }

    #[test]
    fn a_parameter_without_gradient_is_named() {
        let device = Device::Cpu;
        let (used, unused) =
            (Var::new(&[1.0_f32], &device).expect("a"), Var::new(&[1.0_f32], &device).expect("b"));
        let store = used.sqr().and_then(|y| y.sum_all()).and_then(|y| y.backward()).expect("gradients");
        let both = || [("a", &used), ("b", &unused)].into_iter();
        let found = Gradients::collect(&store, both()).expect("gradients");
        let refused = found.check_complete(both()).expect_err("unused");
        assert_eq!(refused.to_string(), "no gradient reaches `b`: an operation on the way cuts it off");
    }
}
