//! Sizes, times and counts as people read them.

use std::time::Duration;

/// Bytes with a binary unit: `1.4 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A duration: `84 ms`, `3.2 s`, `4 min 10 s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.9995 {
        format!("{} ms", time.as_millis())
    } else if seconds < 99.95 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

/// A count with its noun: `1 file`, `3 files`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A number with its digits in groups: `1,000`.
pub(crate) fn grouped(number: u64) -> String {
    hub_client::digits::grouped(number, ',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_people_expect() {
        let sizes = [0, 1023, 1024, 1_468_006, 1_048_575, 8 << 30].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "1.0 MiB", "8.0 GiB"]);
        let times = [7, 999, 1_000, 99_900, 250_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(times, ["7 ms", "999 ms", "1.0 s", "99.9 s", "4 min 10 s"]);
        assert_eq!((count(1, "file"), count(2, "file")), ("1 file".into(), "2 files".into()));
        assert_eq!([0, 999, 1_000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
    }
}
