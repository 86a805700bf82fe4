//! When a request is repeated, and after how long.
//!
//! Why these numbers: most failures that go away by themselves are a connection
//! that a proxy or a restarting server cut. Those are gone within a second, so
//! the first wait is short; a server that restarts (migrations, a new container)
//! takes a few seconds, so four waits that double cover about eight. More would
//! only delay the message to a person who sits in front of it. Waits are spread by
//! a quarter to either side, lest a hundred machines that lost one server come
//! back in step. `Retry-After` is the server's own estimate and wins, up to a
//! minute: beyond that a person should decide.
//!
//! Only requests that may be sent twice are repeated. In this API that is all of
//! them but three: reading is; publishing is (the same bytes again change nothing);
//! yanking states a result, not a change; starting an upload continues the one
//! that is there. A token or an organisation is made by one request alone, and a
//! chunk of an upload is not simply sent again: the registry is
//! asked first how far it came.
//!
//! A refused connection is not repeated as long as the registry never answered:
//! then nothing listens there, and waiting would not tell anybody so.

use std::time::{Duration, SystemTime};

use reqwest::{StatusCode, header::HeaderMap};

/// Repetitions of one request that makes no headway.
pub(super) const MAX_RETRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// How long to wait before repetition `attempt` (from 1).
pub(super) fn wait(attempt: u32, retry_after: Option<Duration>) -> Duration {
    if let Some(asked) = retry_after {
        return asked.min(LONGEST_RETRY_AFTER);
    }
    let doubled = FIRST_WAIT.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    spread(doubled.min(LONGEST_WAIT), entropy())
}

/// Between three and five quarters of `wait`.
fn spread(wait: Duration, entropy: u32) -> Duration {
    wait * 3 / 4 + (wait / 2).mul_f64(f64::from(entropy) / f64::from(u32::MAX))
}

/// Good enough to keep machines out of step.
fn entropy() -> u32 {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    nanos.wrapping_mul(0x9E37_79B9) ^ std::process::id().wrapping_mul(0x85EB_CA6B)
}

/// Whether a server that answers so may answer otherwise soon.
pub(super) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The server's estimate in seconds. The form with a date is for documents, not for APIs; it is passed over.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_stay_near_their_mean() {
        for (attempt, mean) in [(1, 500), (2, 1_000), (3, 2_000), (4, 4_000), (5, 8_000), (40, 8_000)] {
            let millis = wait(attempt, None).as_millis();
            assert!((mean * 3 / 4..=mean * 5 / 4).contains(&millis), "{attempt}: {millis}");
        }
        assert!(spread(FIRST_WAIT, 0) < spread(FIRST_WAIT, u32::MAX));
    }

    #[test]
    fn the_servers_estimate_wins_up_to_a_minute() {
        assert_eq!(wait(1, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(wait(1, Some(Duration::from_hours(1))), Duration::from_mins(1));
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "12".parse().expect("a value"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(12)));
    }

    #[test]
    fn what_a_person_must_fix_is_not_transient() {
        let transient = |code: u16| is_transient(StatusCode::from_u16(code).expect("a status"));
        assert!([429, 500, 502, 503, 504].into_iter().all(transient));
        assert!(![400, 401, 403, 404, 409, 413, 416, 422, 507].into_iter().any(transient));
    }
}
