//! Recordings longer than what a backbone reads, in pieces.

use super::Waveform;

/// How far before the end of a piece a pause is looked for, in seconds.
const SEARCHED: usize = 5;
/// How long a pause is, in parts of a second.
const PAUSES: usize = 10;

impl Waveform {
    /// Pieces of at most so many seconds, one behind the other, each cut in the middle of the quietest tenth of a
    /// second among its last five: a cut in a pause loses no word. A recording that is short enough is one piece.
    pub fn pieces(self, seconds: usize) -> Vec<Self> {
        let rate = self.rate as usize;
        let most = seconds.saturating_mul(rate).max(1);
        let mut pieces = Vec::new();
        let mut rest = self.samples.as_slice();
        while rest.len() > most {
            let searched = most.saturating_sub(SEARCHED.min(seconds / 2) * rate)..most;
            let (piece, behind) = rest.split_at(quietest(rest, searched, rate / PAUSES));
            pieces.push(Self { rate: self.rate, samples: piece.to_vec() });
            rest = behind;
        }
        pieces.push(Self { rate: self.rate, samples: rest.to_vec() });
        pieces
    }
}

/// The middle of the window of so many samples that has the least energy, of those in a range; of equal ones the last.
fn quietest(samples: &[f32], range: std::ops::Range<usize>, window: usize) -> usize {
    let energy = |at: usize| -> f64 { samples[at..at + window].iter().map(|x| f64::from(x * x)).sum() };
    let starts = (range.start..(range.end + 1).saturating_sub(window)).step_by((window / 2).max(1));
    let best = starts.map(|at| (energy(at), at)).min_by(|(a, i), (b, j)| a.total_cmp(b).then(j.cmp(i)));
    best.map_or(range.end, |(_, at)| at + window / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone with pauses of a fifth of a second.
    fn tone(seconds: usize, pauses: &[usize]) -> Waveform {
        let is_pause = |at: usize| pauses.iter().any(|&pause| (pause..pause + 20).contains(&at));
        let sample = |at: usize| if is_pause(at) { 0.0 } else { (at as f32).sin() };
        Waveform { rate: 100, samples: (0..seconds * 100).map(sample).collect() }
    }

    #[test]
    fn long_recordings_are_cut_where_it_is_quiet() {
        let pieces = tone(70, &[2700, 5400]).pieces(30);
        let lengths: Vec<usize> = pieces.iter().map(|piece| piece.samples.len()).collect();
        assert_eq!(lengths.iter().sum::<usize>(), 7000);
        assert!((2700..2720).contains(&lengths[0]), "{lengths:?}");
        assert!((5400..5420).contains(&(lengths[0] + lengths[1])), "{lengths:?}");
        assert!(lengths.iter().all(|&length| length <= 3000));
    }

    #[test]
    fn what_is_short_enough_is_one_piece_and_nothing_is_one_too() {
        assert_eq!(tone(30, &[]).pieces(30).len(), 1);
        assert_eq!(tone(31, &[]).pieces(30).len(), 2);
        assert_eq!(tone(0, &[]).pieces(30), [tone(0, &[])]);
        assert_eq!(Waveform { rate: 1, samples: vec![0.5; 5] }.pieces(1).len(), 5);
    }
}
