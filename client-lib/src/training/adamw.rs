//! AdamW (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019).
//!
//! With gradient `g` at step `t` from 1 and learning rate `η`:
//! `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
//! `θ ← θ − η λ θ − η · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)`.
//!
//! Everything happens where the parameters lie, and is the same on every run there.

use std::collections::{BTreeMap, btree_map::Entry};

use candle_core::{DType, Device, Tensor, Var};

use super::TrainingError;
use crate::{
    model::Cut,
    ops::{
        self, Recording,
        adamw::{Learnt, Step, square_sum, step},
        added,
    },
};

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

/// Gradients by slot.
#[derive(Debug)]
pub struct Gradients {
    all: BTreeMap<String, Tensor>,
    /// What all of them are multiplied with.
    scale: f32,
}

impl Gradients {
    /// The gradient of a loss that was recorded, on through the blocks where the pass was cut. Parameters that the step has
    /// not used have none; they, and what the optimiser remembers of them, stay as they are.
    pub fn of_loss<'p>(
        recording: Recording,
        loss: &Tensor,
        cut: Option<&Cut<'_>>,
        parameters: &(impl Iterator<Item = (&'p str, &'p Var)> + Clone),
    ) -> Result<Self, TrainingError> {
        let store = recording.backward(loss)?;
        let mut all = Self::collect(&store, parameters.clone());
        if let Some(cut) = cut {
            cut.backward(&store, |store| all.add(Self::collect(store, parameters.clone())))?;
        }
        Ok(all)
    }

    /// Refuses when a parameter has none: it would silently stay what it was.
    pub fn check_complete<'p>(
        &self,
        mut parameters: impl Iterator<Item = (&'p str, &'p Var)>,
    ) -> Result<(), TrainingError> {
        match parameters.find(|(slot, _)| !self.all.contains_key(*slot)) {
            Some((slot, _)) => Err(TrainingError::NoGradient { slot: slot.to_owned() }),
            None => Ok(()),
        }
    }

    /// The gradient of one slot, row-major.
    pub fn get(&self, slot: &str) -> candle_core::Result<Option<Vec<f32>>> {
        let Some(gradient) = self.all.get(slot) else { return Ok(None) };
        let numbers = gradient.flatten_all()?.to_vec1::<f32>()?;
        Ok(Some(numbers.into_iter().map(|g| g * self.scale).collect()))
    }

    #[cfg(test)]
    pub(super) const fn new(all: BTreeMap<String, Tensor>) -> Self {
        Self { all, scale: 1.0 }
    }

    fn collect<'p>(store: &ops::Gradients, parameters: impl Iterator<Item = (&'p str, &'p Var)>) -> Self {
        let used = parameters.filter_map(|(slot, var)| Some((slot.to_owned(), store.get(var)?.clone())));
        Self { all: used.collect(), scale: 1.0 }
    }

    /// Adds what another part of the same step gives, before they are clipped.
    pub fn add(&mut self, other: Self) -> Result<(), TrainingError> {
        for (slot, gradient) in other.all {
            match self.all.entry(slot) {
                Entry::Vacant(entry) => drop(entry.insert(gradient)),
                Entry::Occupied(mut entry) => {
                    let both = added(entry.get(), &gradient)?;
                    entry.insert(both);
                }
            }
        }
        Ok(())
    }

    /// The Euclidean norm over all parameters together.
    pub fn norm(&self) -> Result<f64, TrainingError> {
        let all: Vec<&Tensor> = self.all.values().collect();
        Ok(square_sum(&all)?.sqrt() * f64::from(self.scale))
    }

    /// Scales all gradients together so that their norm, which is `norm`, is at most `max`.
    pub fn clip(&mut self, norm: f64, max: f64) {
        if norm > max {
            self.scale *= (max / norm) as f32;
        }
    }
}

/// The optimiser: its constants and what it remembers.
#[derive(Debug, Clone)]
pub struct AdamW {
    config: AdamWConfig,
    steps: u64,
    /// By slot, `[2, n]`: the means of gradients, and of their squares.
    moments: BTreeMap<String, Tensor>,
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
        let used = parameters.filter_map(|(slot, var)| Some((slot, var, gradients.all.get(slot)?)));
        let used: Vec<_> = used.collect();
        for (slot, var, _) in &used {
            self.remember(slot, var)?;
        }
        let learnt = used.iter().filter_map(|(slot, var, gradient)| {
            // Biases and the gains of norms are vectors; pulling them to zero is no regularisation.
            let decay = if var.rank() > 1 { self.config.weight_decay } else { 0.0 };
            let (moments, kept) = (self.moments.get(*slot)?, (1.0 - rate * decay) as f32);
            Some(Learnt { values: var.as_tensor(), moments, gradient, kept })
        });
        Ok(step(&learnt.collect::<Vec<_>>(), self.constants(rate, gradients.scale))?)
    }

    /// Sees to it that there are moments where a parameter lies.
    fn remember(&mut self, slot: &str, var: &Var) -> Result<(), TrainingError> {
        let device = var.device();
        let moments = match self.moments.get(slot) {
            Some(moments) if moments.device().same_device(device) => return Ok(()),
            Some(moments) => moments.to_device(device)?,
            None => Tensor::zeros((2, var.elem_count()), DType::F32, device)?,
        };
        self.moments.insert(slot.to_owned(), moments);
        Ok(())
    }

    fn constants(&self, rate: f64, scale: f32) -> Step {
        let AdamWConfig { beta1, beta2, epsilon, .. } = self.config;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        Step {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            size: (rate / (1.0 - beta1.powi(steps))) as f32,
            root: (1.0 - beta2.powi(steps)).sqrt() as f32,
            epsilon: epsilon as f32,
            scale,
        }
    }

    /// What has to be saved to go on later: `first.<slot>` and `second.<slot>`.
    pub fn state(&self) -> Result<BTreeMap<String, Vec<f32>>, TrainingError> {
        let mut all = BTreeMap::new();
        for (slot, moments) in &self.moments {
            for (which, name) in ["first", "second"].into_iter().enumerate() {
                all.insert(format!("{name}.{slot}"), moments.get(which)?.to_vec1()?);
            }
        }
        Ok(all)
    }

    /// The optimiser as it was after `steps` steps, with the [`state`](Self::state) of then.
    pub fn restore(
        config: AdamWConfig,
        steps: u64,
        mut state: BTreeMap<String, Vec<f32>>,
    ) -> Result<Self, TrainingError> {
        let slots: Vec<String> =
            state.keys().filter_map(|k| Some(k.strip_prefix("first.")?.to_owned())).collect();
        let mut moments = BTreeMap::new();
        for slot in slots {
            let mut take = |name: &str| state.remove(&format!("{name}.{slot}")).unwrap_or_default();
            let (first, second) = (take("first"), take("second"));
            let both = Tensor::from_vec([first.clone(), second].concat(), (2, first.len()), &Device::Cpu)?;
            moments.insert(slot, both);
        }
        Ok(Self { config, steps, moments })
    }
}

#[cfg(test)]
mod tests {
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

    fn gradients(all: &[(&str, &[f32])]) -> Gradients {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).expect("a gradient");
        Gradients::new(all.iter().map(|(slot, values)| ((*slot).to_owned(), tensor(values))).collect())
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
            let both = gradients(&[("w", step), ("b", step)]);
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
                let g = gradients(&[("w", &[f32::from(t) * 0.3 - 0.5, 0.25])]);
                optimiser.step([("w", &weight)].into_iter(), &g, 0.01).expect("steps");
                if interrupt && t == 2 {
                    let state = optimiser.state().expect("a state");
                    optimiser = AdamW::restore(AdamWConfig::default(), 3, state).expect("restores");
                }
            }
            (weight.to_vec2::<f32>().expect("values"), optimiser.steps, optimiser.state().expect("a state"))
        };
        assert_eq!(run(true), run(false));
    }

    #[test]
    fn clipping_keeps_the_direction_and_bounds_the_norm() {
        for (given, clipped) in [([3.0, 4.0], [0.6, 0.8]), ([0.3, 0.4], [0.3, 0.4])] {
            let mut all = gradients(&[("w", &given)]);
            all.clip(all.norm().expect("a norm"), 1.0);
            assert_eq!(all.get("w").expect("reads").expect("a gradient"), clipped);
        }
    }

    #[test]
    fn a_parameter_without_gradient_is_named() {
        let device = Device::Cpu;
        let (used, unused) =
            (Var::new(&[1.0_f32], &device).expect("a"), Var::new(&[1.0_f32], &device).expect("b"));
        let recording = Recording::begin();
        let loss = used.sqr().and_then(|y| y.sum_all()).expect("a loss");
        let store = recording.backward(&loss).expect("gradients");
        let both = || [("a", &used), ("b", &unused)].into_iter();
        let found = Gradients::collect(&store, both());
        let refused = found.check_complete(both()).expect_err("unused");
        assert_eq!(refused.to_string(), "no gradient reaches `b`: an operation on the way cuts it off");
    }
}
