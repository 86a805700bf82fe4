//! The learning rate at every step: linear warm-up, then linear decay.

/// Linear warm-up to the peak, then linear decay towards zero.
///
/// With `s` counted from 0: `peak · (s + 1) / w` while `s < w`, then
/// `peak · (n − s) / (n − w)`. No step has a rate of zero, so none is wasted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Highest learning rate.
    pub peak: f64,
    /// Steps of the warm-up.
    pub warmup: u64,
    /// Steps in all.
    pub total: u64,
}

impl Schedule {
    /// Warm-up over the share `warmup` of `total` steps.
    pub fn new(peak: f64, warmup: f64, total: u64) -> Self {
        let warmup = (warmup * total as f64).ceil() as u64;
        Self { peak, warmup: warmup.min(total), total }
    }

    /// The learning rate of step `step`, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup {
            self.peak * (step + 1) as f64 / self.warmup as f64
        } else if step < self.total {
            self.peak * (self.total - step) as f64 / (self.total - self.warmup) as f64
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_to_the_peak_and_falls_linearly() {
        let schedule = Schedule::new(1.0, 0.2, 10);
        let rates: Vec<f64> = (0..11).map(|step| schedule.at(step)).collect();
        assert_eq!(rates, [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]);
    }

    #[test]
    fn without_warmup_it_starts_at_the_peak() {
        let schedule = Schedule::new(3.0, 0.0, 3);
        let rates: Vec<f64> = (0..3).map(|step| schedule.at(step)).collect();
        assert_eq!(rates, [3.0, 2.0, 1.0]);
    }
}
