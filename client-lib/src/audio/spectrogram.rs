//! Log-mel spectrograms as Whisper reads them (Radford et al. 2022, section 2.2).
//!
//! Of the samples, mirrored by half a window at both ends, every `hop` samples a window `w` of them gives
//! `m_i = Σ_k F_ik |FFT(hann · w)_k|²`; values are `(max(log₁₀ max(m, 1e-10), highest − 8) + 4) / 4` with the
//! highest of the whole recording. What comes last is left out.

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};

use super::{
    AudioSettings, Waveform,
    mel::{Filter, filters},
    resample::resample,
};

/// The highest frequency that a filter holds, in hertz.
const HIGHEST: f64 = 8000.0;
/// What counts as silence, in energy.
const FLOOR: f64 = 1e-10;
/// Decades of energy below the loudest that are told apart.
const RANGE: f64 = 8.0;

/// Makes spectrograms of one kind.
#[derive(Clone)]
pub struct Spectrogram {
    settings: AudioSettings,
    window: Vec<f64>,
    filters: Vec<Filter>,
    transform: Arc<dyn RealToComplex<f64>>,
}

impl std::fmt::Debug for Spectrogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spectrogram").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Spectrogram {
    /// Window and filters of these settings.
    pub fn new(settings: AudioSettings) -> Self {
        let width = settings.width;
        let hann = |at: usize| 0.5 - 0.5 * (std::f64::consts::TAU * at as f64 / width as f64).cos();
        Self {
            settings,
            window: (0..width).map(hann).collect(),
            filters: filters(settings.mels, width / 2 + 1, settings.rate, HIGHEST),
            transform: RealFftPlanner::new().plan_fft_forward(width),
        }
    }

    /// What it was made with.
    pub fn settings(&self) -> &AudioSettings {
        &self.settings
    }

    /// `[mels, frames]`, row by row, of a recording, which is cut or filled up with silence. The error is
    /// what the resampler or the transformation says.
    pub fn of(&self, waveform: &Waveform) -> Result<Vec<f32>, String> {
        // A second more than is read, so that the filter of the resampler sees no end there.
        let waveform = waveform.clone().first(self.settings.seconds + 1);
        let mut samples = resample(&waveform, self.settings.rate)?;
        samples.resize(self.settings.samples(), 0.0);
        let (mels, frames) = (self.settings.mels, self.settings.frames());
        let energies = self.energies(&samples)?;
        let highest = energies.iter().fold(f64::NEG_INFINITY, |most, &e| most.max(e));
        let value = |energy: f64| ((energy.max(highest - RANGE) + 4.0) / 4.0) as f32;
        Ok((0..mels)
            .flat_map(|mel| (0..frames).map(move |frame| (mel, frame)))
            .map(|(mel, frame)| value(energies[frame * mels + mel]))
            .collect())
    }

    /// Logarithms of the energies, `[frames, mels]`.
    fn energies(&self, samples: &[f32]) -> Result<Vec<f64>, String> {
        let AudioSettings { width, hop, mels, .. } = self.settings;
        let mut energies = vec![FLOOR.log10(); self.settings.frames() * mels];
        let mut windowed = self.transform.make_input_vec();
        let mut spectrum = self.transform.make_output_vec();
        let mut scratch = self.transform.make_scratch_vec();
        for (frame, row) in energies.chunks_exact_mut(mels).enumerate() {
            let mut is_silent = true;
            for (at, (x, weight)) in windowed.iter_mut().zip(&self.window).enumerate() {
                let sample = mirrored(samples, (frame * hop + at) as isize - (width / 2) as isize);
                is_silent &= sample == 0.0;
                *x = f64::from(sample) * weight;
            }
            if is_silent {
                continue;
            }
            let done = self.transform.process_with_scratch(&mut windowed, &mut spectrum, &mut scratch);
            done.map_err(|e| e.to_string())?;
            for (energy, filter) in row.iter_mut().zip(&self.filters) {
                let bins = spectrum[filter.first..].iter().map(Complex::norm_sqr);
                let sum: f64 = bins.zip(&filter.weights).map(|(power, weight)| power * weight).sum();
                *energy = sum.max(FLOOR).log10();
            }
        }
        Ok(energies)
    }
}

/// The sample at `at`, where those beyond the ends are the ones as far before them.
fn mirrored(samples: &[f32], at: isize) -> f32 {
    let last = samples.len() as isize - 1;
    let at = at.abs();
    let at = if at > last { 2 * last - at } else { at };
    usize::try_from(at).ok().and_then(|at| samples.get(at)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn silence_is_the_same_everywhere_and_what_is_too_long_is_cut() {
        let json = json!({"feature_extractor_type": "WhisperFeatureExtractor", "chunk_length": 1});
        let settings = AudioSettings::from_json(json.as_object().expect("an object")).expect("settings");
        let spectrogram = Spectrogram::new(settings);
        let silence = Waveform { rate: 8000, samples: vec![0.0; 100] };
        assert_eq!(spectrogram.of(&silence).expect("values"), vec![-1.5; 80 * 100]);
        let ramp =
            |len: usize| Waveform { rate: 16_000, samples: (0..len).map(|i| (i as f32).sin()).collect() };
        let of = |len| spectrogram.of(&ramp(len)).expect("values");
        assert_eq!(of(16_000), of(40_000));
    }
}
