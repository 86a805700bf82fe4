//! How many singular values `AdaLoRA` may keep at which step (Zhang et al. 2023, section 3.3).

/// Share of the steps before anything is pruned.
const BEFORE: f64 = 0.1;
/// Share of the steps that train what is left.
const AFTER: f64 = 0.3;
/// Steps between two rounds of pruning.
const BETWEEN: u64 = 10;

/// From `initial` to `target` singular values over a number of steps. Equal to PEFT's
/// `RankAllocator.budget_schedule` with `tinit` = `first`, `tfinal` = `total − last` and `deltaT`
/// = `between`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RankBudget {
    /// Singular values of all layers together at the start.
    pub(super) initial: usize,
    /// And in the end.
    pub(super) target: usize,
    /// Until this step all are kept.
    pub(super) first: u64,
    /// From this step on the choice is settled.
    pub(super) last: u64,
    /// Steps between two rounds of pruning.
    pub(super) between: u64,
}

impl RankBudget {
    /// The schedule for a run of `total` steps.
    pub(super) fn over(total: u64, initial: usize, target: usize) -> Self {
        let share = |of: f64| (total as f64 * of) as u64;
        Self { initial, target, first: share(BEFORE), last: total - share(AFTER), between: BETWEEN }
    }

    /// How many may be kept after `step` steps, where that is a step at which some are pruned:
    /// `target + (initial − target) · (1 − (step − first) / (last − first))³`, rounded down.
    pub(super) fn at(&self, step: u64) -> Option<usize> {
        if step == self.last {
            return Some(self.target);
        }
        if step <= self.first || step > self.last || !step.is_multiple_of(self.between) {
            return None;
        }
        let left = 1.0 - (step - self.first) as f64 / (self.last - self.first) as f64;
        let above = (self.initial - self.target) as f64 * left.powi(3);
        Some((above + self.target as f64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_falls_as_in_peft() {
        let budget = RankBudget { initial: 8, target: 4, first: 2, last: 8, between: 1 };
        let found: Vec<Option<usize>> = (1..=10).map(|step| budget.at(step)).collect();
        assert_eq!(found, [None, None, Some(6), Some(5), Some(4), Some(4), Some(4), Some(4), None, None]);
    }

    #[test]
    fn even_one_step_ends_at_the_target() {
        assert_eq!(RankBudget::over(1, 12, 8).at(1), Some(8));
        assert_eq!(
            RankBudget::over(100, 12, 8),
            RankBudget { initial: 12, target: 8, first: 10, last: 70, between: 10 }
        );
    }
}
