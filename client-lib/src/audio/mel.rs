//! The mel scale of Slaney's Auditory Toolbox (1998) and its triangular filters, as librosa and
//! `transformers` compute them: linear up to 1000 Hz, logarithmic above.

/// Hertz in a mel of the linear part.
const LINEAR: f64 = 200.0 / 3.0;
/// Where the logarithmic part begins, in hertz and in mels.
const KNEE: (f64, f64) = (1000.0, 15.0);
/// Mels for each factor `e` above the knee: 27 for a factor of 6.4.
fn logarithmic() -> f64 {
    27.0 / 6.4_f64.ln()
}

fn mels(hertz: f64) -> f64 {
    if hertz < KNEE.0 { hertz / LINEAR } else { KNEE.1 + (hertz / KNEE.0).ln() * logarithmic() }
}

fn hertz(mels: f64) -> f64 {
    if mels < KNEE.1 { mels * LINEAR } else { KNEE.0 * ((mels - KNEE.1) / logarithmic()).exp() }
}

/// One triangular filter: its weights from bin `first` on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter {
    pub(super) first: usize,
    pub(super) weights: Vec<f64>,
}

/// `count` filters between 0 and `highest` hertz over `bins` frequencies up to half of `rate`, each of
/// area one.
pub(super) fn filters(count: usize, bins: usize, rate: u32, highest: f64) -> Vec<Filter> {
    let (low, high) = (mels(0.0), mels(highest));
    let corner = |i: usize| hertz(low + (high - low) * i as f64 / (count + 1) as f64);
    let half = f64::from(rate / 2);
    let bin = |i: usize| half * i as f64 / (bins - 1) as f64;
    let filter = |i: usize| {
        let [left, middle, right] = [corner(i), corner(i + 1), corner(i + 2)];
        let weight = |at: usize| {
            let (up, down) = ((bin(at) - left) / (middle - left), (right - bin(at)) / (right - middle));
            up.min(down).max(0.0) * 2.0 / (right - left)
        };
        let inside: Vec<usize> = (0..bins).filter(|&at| weight(at) > 0.0).collect();
        let first = inside.first().copied().unwrap_or(0);
        Filter { first, weights: inside.into_iter().map(weight).collect() }
    };
    (0..count).map(filter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_meets_at_the_knee_and_inverts() {
        for frequency in [0.0, 440.0, 999.0, 1000.0, 6400.0, 8000.0] {
            assert!((hertz(mels(frequency)) - frequency).abs() < 1e-9);
        }
        assert!((mels(6400.0) - 42.0).abs() < 1e-12);
    }

    #[test]
    fn every_filter_of_whisper_holds_a_frequency() {
        for count in [80, 128] {
            let filters = filters(count, 201, 16_000, 8000.0);
            assert!(filters.iter().all(|filter| !filter.weights.is_empty()));
        }
    }
}
