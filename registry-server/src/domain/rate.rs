//! How many requests somebody may send: the generic cell rate algorithm (ITU-T I.371),
//! a bucket that holds a minute's worth and refills all the time.

use std::time::Duration;

/// What a bucket holds is used up and refilled within this time.
pub const WINDOW: Duration = Duration::from_mins(1);

/// So many requests a minute, all of them at once if they come so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(u32);

/// How often users and addresses may ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Each user, with whichever tokens.
    pub user: Option<Rate>,
    /// Each address; a whole /64 of IPv6 is one.
    pub address: Option<Rate>,
    /// Adapters that a user may make in an hour; no limit without it.
    pub new_adapters_per_hour: Option<u32>,
    /// Whether the last address in `X-Forwarded-For` is the client's: the server is behind a proxy.
    pub trust_forwarded_for: bool,
}

/// What somebody has used of their rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// When the bucket will be full again, on the clock that `take` is told.
    full_at: Duration,
}

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Requests in a window.
    pub limit: u32,
    /// Requests left now.
    pub remaining: u32,
    /// When all of them are there again.
    pub full_in: Duration,
    /// Set when the request is refused: when one will be allowed.
    pub retry_after: Option<Duration>,
}

impl Rate {
    /// A rate; `None` for zero, which means no limit.
    pub const fn per_minute(requests: u32) -> Option<Self> {
        if requests == 0 { None } else { Some(Self(requests)) }
    }

    /// Requests in a minute.
    pub const fn a_minute(self) -> u32 {
        self.0
    }

    /// Takes a request out of the bucket, or says when there will be one.
    pub fn take(self, meter: &mut Meter, now: Duration) -> Taken {
        let each = WINDOW / self.0;
        let full_at = meter.full_at.max(now) + each;
        let end = now + WINDOW;
        let retry_after = full_at.checked_sub(end).filter(|wait| !wait.is_zero());
        if retry_after.is_none() {
            meter.full_at = full_at;
        }
        let full_in = meter.full_at.saturating_sub(now);
        let left = WINDOW.saturating_sub(full_in).as_nanos() / each.as_nanos().max(1);
        Taken { limit: self.0, remaining: u32::try_from(left).unwrap_or(self.0), full_in, retry_after }
    }
}

impl Meter {
    /// Whether nothing is used any more, so that it need not be remembered.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_minutes_worth_at_once_then_one_at_a_time() {
        let rate = Rate::per_minute(6).expect("a rate");
        let mut meter = Meter::default();
        let left: Vec<u32> = (0..6).map(|_| rate.take(&mut meter, seconds(100)).remaining).collect();
        assert_eq!(left, [5, 4, 3, 2, 1, 0]);
        let refused = rate.take(&mut meter, seconds(100));
        assert_eq!((refused.remaining, refused.retry_after), (0, Some(seconds(10))));
        // Being refused costs nothing.
        assert_eq!(rate.take(&mut meter, seconds(109)).retry_after, Some(seconds(1)));
        assert_eq!(rate.take(&mut meter, seconds(110)).retry_after, None);
        assert!(!meter.is_full(seconds(169)) && meter.is_full(seconds(170)));
        assert_eq!(rate.take(&mut meter, seconds(500)).remaining, 5);
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(Rate::per_minute(0), None);
    }
}
