//! From one rate to another.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::Waveform;

/// Samples that are transformed together at least: more of them make a sharper filter.
const CHUNK: usize = 1024;

/// How many samples are transformed together: whole multiples of the rates' smallest ratio, and an even
/// number of them, because the filter's middle lies half a sample off otherwise.
fn chunk(from: usize, to: usize) -> usize {
    let (mut a, mut b) = (from, to);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let block = from / a.max(1);
    block * CHUNK.div_ceil(block).next_multiple_of(2)
}

/// The same sound in `rate` samples a second: band-limited, without delay, `⌈n · rate / own rate⌉` samples.
/// The error is what the resampler says.
pub(super) fn resample(waveform: &Waveform, rate: u32) -> Result<Vec<f32>, String> {
    if waveform.rate == rate || waveform.samples.is_empty() {
        return Ok(waveform.samples.clone());
    }
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (from, to) = (waveform.rate as usize, rate as usize);
    let window = WindowFunction::BlackmanHarris2;
    let resampler = Fft::<f64>::new_custom(from, to, chunk(from, to), 1, 1, window, FixedSync::Both);
    let mut resampler = resampler.map_err(|e| text(&e))?;
    let samples: Vec<f64> = waveform.samples.iter().copied().map(f64::from).collect();
    let input = SequentialSlice::new(&samples, 1, samples.len()).map_err(|e| text(&e))?;
    let output = resampler.process_all(&input, samples.len(), None).map_err(|e| text(&e))?;
    let length = (samples.len() as u64 * u64::from(rate)).div_ceil(u64::from(waveform.rate));
    Ok(output.take_data().into_iter().take(length as usize).map(|sample| sample as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of `hertz` for half a second.
    fn tone(rate: u32, hertz: f64) -> Waveform {
        let turn = std::f64::consts::TAU * hertz / f64::from(rate);
        Waveform { rate, samples: (0..rate / 2).map(|at| (turn * f64::from(at)).sin() as f32).collect() }
    }

    #[test]
    fn a_tone_stays_the_same_tone_in_place() {
        for rate in [8000, 11_025, 22_050, 44_100, 48_000] {
            let (found, expected) =
                (resample(&tone(rate, 440.0), 16_000).expect("samples"), tone(16_000, 440.0));
            assert!(found.len().abs_diff(8000) <= 1, "{rate}: {} samples", found.len());
            // Its sudden start and end are no tone.
            let inside = found.iter().zip(&expected.samples).skip(800).take(6400);
            let worst = inside.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-3, "{rate}: {worst}");
        }
    }

    #[test]
    fn what_the_new_rate_can_not_hold_is_gone() {
        let found = resample(&tone(48_000, 11_000.0), 16_000).expect("samples");
        let loudest = found[800..7200].iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
        assert!(loudest < 1e-3, "{loudest}");
    }
}
