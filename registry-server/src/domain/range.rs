//! `Range` of downloads and `Content-Range` of uploads (RFC 9110, section 14).

use std::ops::Range;

/// What a download request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: no range, several, or one that is not understood.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that are not there.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `size` bytes.
pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    let number = |text: &str| match text.trim() {
        digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse::<u64>().unwrap_or(u64::MAX))
        }
        _ => None,
    };
    match (first.trim(), last.trim()) {
        ("", _) => match number(last) {
            Some(0) => Wanted::Unsatisfiable,
            Some(_) if size == 0 => Wanted::Unsatisfiable,
            Some(suffix) => Wanted::Part(size.saturating_sub(suffix)..size),
            None => Wanted::Whole,
        },
        (_, "") => match number(first) {
            Some(first) if first < size => Wanted::Part(first..size),
            Some(_) => Wanted::Unsatisfiable,
            None => Wanted::Whole,
        },
        _ => match (number(first), number(last)) {
            (Some(first), Some(last)) if first > last => Wanted::Whole,
            (Some(first), Some(_)) if first >= size => Wanted::Unsatisfiable,
            (Some(first), Some(last)) => Wanted::Part(first..last.saturating_add(1).min(size)),
            _ => Wanted::Whole,
        },
    }
}

/// A `Content-Range` that can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`Content-Range` is `{0}`; it must be `bytes <first>-<last>/<size of the blob>`")]
pub struct ContentRangeError(pub String);

/// Which bytes of a blob of `size` bytes a request carries.
pub fn content_range(header: &str, size: u64) -> Result<Range<u64>, ContentRangeError> {
    let parse = || {
        let (range, total) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last && last < size && total.parse() == Ok(size)).then(|| first..last + 1)
    };
    parse().ok_or_else(|| ContentRangeError(header.chars().take(80).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_range() {
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-0"), Wanted::Part(0..1)),
            (Some("bytes=2-"), Wanted::Part(2..10)),
            (Some("bytes=-3"), Wanted::Part(7..10)),
            (Some("bytes=-99"), Wanted::Part(0..10)),
            (Some("bytes=5-99999999999999999999999"), Wanted::Part(5..10)),
            (Some("bytes=10-"), Wanted::Unsatisfiable),
            (Some("bytes=10-12"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=3-1"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("items=0-1"), Wanted::Whole),
            (Some("bytes=a-b"), Wanted::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=-1"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn a_content_range_must_lie_inside_the_blob_and_name_its_size() {
        assert_eq!(content_range("bytes 0-3/10", 10), Ok(0..4));
        for wrong in ["", "bytes 3-1/10", "bytes 0-10/10", "bytes 0-3/11", "bytes 0-3/*", "0-3/10"] {
            assert!(content_range(wrong, 10).is_err(), "{wrong}");
        }
    }
}
