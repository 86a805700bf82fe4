//! Which singular values `AdaLoRA` keeps (Zhang et al. 2023, section 3.2).
//!
//! An element's sensitivity is `s = |w · ∂L/∂w|`. Running means of it and of how far it strays,
//! `I ← β I + (1 − β) s` and `U ← β U + (1 − β) |s − I|` with β = 0.85, give its score `I · U`. A
//! singular value's importance is its own score and the mean scores of its row of `A` and its
//! column of `B`; those of the least importance over all layers are set to zero. Equal to PEFT's
//! `RankAllocator`.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};
use hub_schemas::method::AdaLoraConfig;

use super::{adamw::Gradients, rank_budget::RankBudget};
use crate::params::Parameters;

/// Decay of both running means, PEFT's `beta1` and `beta2`.
const DECAY: f32 = 0.85;

/// Running means by slot, and what is kept.
#[derive(Debug)]
pub(super) struct RankAllocation {
    budget: RankBudget,
    /// Names of the layers.
    modules: Vec<String>,
    /// `mean.<slot>` and `strays.<slot>` of every element; `kept.<module>` once that is settled.
    state: BTreeMap<String, Vec<f32>>,
}

impl RankAllocation {
    /// For a run of `total` steps; `None` where all singular values are kept.
    pub(super) fn new(config: &AdaLoraConfig, total: u64) -> Option<Self> {
        let modules: Vec<String> = config.targets.iter().map(|module| module.to_string()).collect();
        let (initial, target) = (config.init_r * modules.len(), config.target_r? * modules.len());
        let budget = RankBudget::over(total, initial, target);
        (target < initial).then(|| Self { budget, modules, state: BTreeMap::new() })
    }

    /// Goes on with the [`state`](Self::state) of an interrupted run.
    #[must_use]
    pub(super) fn restored(self, state: BTreeMap<String, Vec<f32>>) -> Self {
        Self { state, ..self }
    }

    /// What has to be saved to go on later.
    pub(super) const fn state(&self) -> &BTreeMap<String, Vec<f32>> {
        &self.state
    }

    /// The step from which on a checkpoint is within the budget.
    pub(super) const fn settled_from(&self) -> u64 {
        self.budget.last
    }

    /// Sees the gradients of the optimiser's step that was just made, the `step`-th, and prunes
    /// when it is time.
    pub(super) fn after_step(
        &mut self,
        step: u64,
        parameters: &Parameters,
        gradients: &Gradients,
    ) -> Result<()> {
        if step < self.budget.last {
            for (slot, var) in parameters.iter().filter(|(slot, _)| is_part(slot)) {
                let Some(gradient) = gradients.get(slot)? else { continue };
                let values = var.flatten_all()?.to_vec1::<f32>()?;
                self.observe(slot, values.iter().zip(gradient).map(|(w, g)| (w * g).abs()));
            }
        }
        if let Some(budget) = self.budget.at(step) {
            let kept = self.choose(budget, parameters)?;
            for (module, kept) in self.modules.clone().into_iter().zip(&kept) {
                mask(parameters, &module, kept)?;
                if step == self.budget.last {
                    let flags = kept.iter().map(|&kept| f32::from(u8::from(kept))).collect();
                    self.state.insert(format!("kept.{module}"), flags);
                }
            }
        } else if step > self.budget.last {
            for module in &self.modules {
                let Some(flags) = self.state.get(&format!("kept.{module}")) else { continue };
                let kept: Vec<bool> = flags.iter().map(|&flag| flag > 0.0).collect();
                mask(parameters, module, &kept)?;
            }
        }
        Ok(())
    }

    fn observe(&mut self, slot: &str, sensitivities: impl ExactSizeIterator<Item = f32>) {
        let count = sensitivities.len();
        let mut take = |name: String| self.state.remove(&name).unwrap_or_else(|| vec![0.0; count]);
        let (mut means, mut strays) = (take(format!("mean.{slot}")), take(format!("strays.{slot}")));
        for ((mean, stray), s) in means.iter_mut().zip(&mut strays).zip(sensitivities) {
            *mean = DECAY * *mean + (1.0 - DECAY) * s;
            *stray = DECAY * *stray + (1.0 - DECAY) * (s - *mean).abs();
        }
        self.state.insert(format!("mean.{slot}"), means);
        self.state.insert(format!("strays.{slot}"), strays);
    }

    /// For every layer which of its singular values are among the `budget` most important. Those
    /// that are as unimportant as the best one to go are not.
    fn choose(&self, budget: usize, parameters: &Parameters) -> Result<Vec<Vec<bool>>> {
        let importance = |module: &String| self.importance(module, parameters);
        let importance: Vec<Vec<f32>> = self.modules.iter().map(importance).collect::<Result<_>>()?;
        let mut all: Vec<f32> = importance.iter().flatten().copied().collect();
        all.sort_by(f32::total_cmp);
        let threshold = all.len().checked_sub(budget + 1).and_then(|index| all.get(index));
        let keeps = |value: &f32| threshold.is_none_or(|threshold| value > threshold);
        Ok(importance.iter().map(|values| values.iter().map(keeps).collect()).collect())
    }

    fn importance(&self, module: &str, parameters: &Parameters) -> Result<Vec<f32>> {
        let scores = |part: &str| {
            let slot = format!("{module}.{part}");
            let var = parameters.get(&slot);
            let var = var.ok_or_else(|| candle_core::Error::Msg(format!("no parameter `{slot}`")))?;
            let of = |name: &str| {
                let values = self.state.get(&format!("{name}.{slot}")).cloned();
                Tensor::from_vec(
                    values.unwrap_or_else(|| vec![0.0; var.elem_count()]),
                    var.shape(),
                    var.device(),
                )
            };
            of("mean")? * of("strays")?
        };
        let (a, b, e) =
            (scores("ada_a")?.mean(1)?, scores("ada_b")?.mean(0)?, scores("ada_e")?.flatten_all()?);
        ((a + b)? + e)?.to_vec1()
    }
}

fn is_part(slot: &str) -> bool {
    [".ada_a", ".ada_b", ".ada_e"].iter().any(|part| slot.ends_with(part))
}

fn mask(parameters: &Parameters, module: &str, kept: &[bool]) -> Result<()> {
    let Some(var) = parameters.get(&format!("{module}.ada_e")) else { return Ok(()) };
    let mut values = var.flatten_all()?.to_vec1::<f32>()?;
    values.iter_mut().zip(kept).filter(|(_, kept)| !**kept).for_each(|(value, _)| *value = 0.0);
    var.set(&Tensor::from_vec(values, var.shape(), var.device())?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use hub_schemas::{
        backbone::{LinearSite, Targets},
        layout::{Place, Slot},
    };

    use super::*;
    use crate::init::Initialiser;

    /// Shapes of two layers as PEFT's allocator got them: `A [4, in]`, `B [out, 4]`.
    const DIMS: [(usize, usize); 2] = [(3, 5), (5, 2)];

    fn values(count: usize, value: impl Fn(f64) -> f64) -> Vec<f32> {
        (0..count).map(|i| value(i as f64) as f32).collect()
    }

    /// Which singular values PEFT 0.21's `RankAllocator` kept at each step, given parameters
    /// `sin(1 + i + 7 slot + 3 step)` and gradients `cos(2 + i / 2 + 5 slot + step²)`.
    #[test]
    fn what_is_kept_is_what_peft_keeps() {
        let targets = Targets::everywhere(&[LinearSite::Query], 2);
        let modules: Vec<_> = targets.iter().collect();
        let slots: Vec<(Slot, Initialiser)> = (modules.iter().zip(DIMS))
            .flat_map(|(&module, (inputs, outputs))| {
                [("ada_a", vec![4, inputs]), ("ada_b", vec![outputs, 4]), ("ada_e", vec![4, 1])].map(
                    |(part, dims)| {
                        (Slot::new(Place::Module(module), part, &dims), Initialiser::Constant(0.0))
                    },
                )
            })
            .collect();
        let parameters =
            Parameters::fresh(&slots, |_| Ok(None), 0, DType::F32, &Device::Cpu).expect("parameters");
        let budget = RankBudget { initial: 8, target: 4, first: 2, last: 8, between: 2 };
        let modules = modules.iter().map(ToString::to_string).collect();
        let mut allocation = RankAllocation { budget, modules, state: BTreeMap::new() };
        let mut found = Vec::new();
        for step in 1..=9_u64 {
            let mut gradients = BTreeMap::new();
            for (k, (slot, _)) in slots.iter().enumerate() {
                let (k, step) = (k as f64, step as f64);
                let var = parameters.get(&slot.name).expect("a parameter");
                let value = values(slot.len(), |i| (1.0 + i + 7.0 * k + 3.0 * step).sin());
                var.set(&Tensor::from_vec(value, var.shape(), &Device::Cpu).expect("a tensor"))
                    .expect("sets");
                let gradient = values(slot.len(), |i| (2.0 + 0.5 * i + 5.0 * k + step * step).cos());
                let gradient = Tensor::from_vec(gradient, var.shape(), &Device::Cpu).expect("a tensor");
                gradients.insert(slot.name.clone(), gradient);
            }
            allocation.after_step(step, &parameters, &Gradients::new(gradients)).expect("allocates");
            let kept = |module: &String| {
                let e = parameters.get(&format!("{module}.ada_e")).expect("a parameter");
                let e = e.flatten_all().and_then(|e| e.to_vec1::<f32>()).expect("values");
                e.iter().map(|&e| if e == 0.0 { '0' } else { '1' }).collect::<String>()
            };
            found.push(allocation.modules.iter().map(kept).collect::<Vec<_>>().join(" "));
        }
        let all = "1111 1111";
        let expected = [all, all, all, "1010 1101", all, "1011 0100", all, "1001 0101", "1001 0101"];
        assert_eq!(found, expected);
    }
}
