//! Times in the database: microseconds since 1970 in UTC.

use time::OffsetDateTime;

/// A time as the database keeps it.
pub(crate) fn micros(time: OffsetDateTime) -> i64 {
    (time.unix_timestamp_nanos() / 1000) as i64
}

/// A time from the database.
pub(crate) fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Now.
pub(crate) fn now() -> i64 {
    micros(OffsetDateTime::now_utc())
}
