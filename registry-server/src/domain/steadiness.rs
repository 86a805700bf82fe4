//! Whether the system's clock can be believed.
//!
//! Some things are removed when they are old enough. A clock that jumps ahead by a year would make
//! everything old at once, so after a jump nothing is removed by its age until the clock has gone
//! evenly for a while. Jumps are seen by a second clock that only counts.

use std::time::Duration;

use time::OffsetDateTime;

/// What both clocks may differ by between two looks: corrections by a time server are seconds.
pub const TOLERANCE: Duration = Duration::from_hours(1);
/// How long a clock must go evenly after a jump. A wrong one is put right sooner, or meant.
pub const REST: Duration = Duration::from_hours(1);

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The date.
    pub date: OffsetDateTime,
    /// The time since some moment, which nobody sets.
    pub counted: Duration,
}

/// What is said of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes evenly.
    Steady,
    /// It has jumped since the last look, ahead or back.
    Jumped(time::Duration),
    /// It jumped a while ago, and is believed after this time.
    Resting(Duration),
}

/// What was seen of the clock so far.
#[derive(Debug, Clone)]
pub struct Steadiness {
    last: Reading,
    jumped_at: Option<Duration>,
}

impl Steadiness {
    /// The first look; what was before can't be known.
    pub const fn new(now: Reading) -> Self {
        Self { last: now, jumped_at: None }
    }

    /// Another look.
    pub fn look(&mut self, now: Reading) -> Verdict {
        let counted = now.counted.saturating_sub(self.last.counted);
        let by =
            (now.date - self.last.date).saturating_sub(counted.try_into().unwrap_or(time::Duration::MAX));
        self.last = now;
        if by.unsigned_abs() > TOLERANCE {
            self.jumped_at = Some(now.counted);
            return Verdict::Jumped(by);
        }
        let rested = self.jumped_at.map(|at| now.counted.saturating_sub(at));
        match rested {
            Some(rested) if rested < REST => Verdict::Resting(REST.saturating_sub(rested)),
            _ => Verdict::Steady,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const START: OffsetDateTime = datetime!(2026-11-26 12:00 UTC);
    const MINUTE: Duration = Duration::from_mins(1);

    /// So many minutes later by the count, with the date ahead by `ahead`.
    fn reading(minutes: u32, ahead: time::Duration) -> Reading {
        let counted = MINUTE * minutes;
        Reading { date: START + counted + ahead, counted }
    }

    #[test]
    fn a_clock_that_goes_evenly_is_believed_and_small_corrections_are_no_jumps() {
        let mut clock = Steadiness::new(reading(0, time::Duration::ZERO));
        for (minutes, ahead) in [(1, 0), (600, 40), (601, -10), (100_000, 0)] {
            let verdict = clock.look(reading(minutes, time::Duration::minutes(ahead)));
            assert_eq!(verdict, Verdict::Steady, "{minutes}: {ahead}");
        }
    }

    #[test]
    fn after_a_jump_the_clock_rests_for_an_hour_in_either_direction() {
        for year in [time::Duration::days(365), time::Duration::days(-365)] {
            let mut clock = Steadiness::new(reading(0, time::Duration::ZERO));
            assert_eq!(clock.look(reading(5, year)), Verdict::Jumped(year));
            assert_eq!(clock.look(reading(6, year)), Verdict::Resting(MINUTE * 59));
            // Put right again: that is a jump too.
            assert_eq!(clock.look(reading(15, time::Duration::ZERO)), Verdict::Jumped(-year));
            assert_eq!(clock.look(reading(74, time::Duration::ZERO)), Verdict::Resting(MINUTE));
            assert_eq!(clock.look(reading(75, time::Duration::ZERO)), Verdict::Steady);
        }
    }
}
