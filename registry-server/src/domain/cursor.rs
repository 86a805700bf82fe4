//! Page cursors: opaque to clients, bound to the query they came from.

use hub_schemas::digest::Digest;

/// Bytes of the fingerprint that binds a cursor to its query.
const FINGERPRINT: usize = 4;

/// A cursor that was not made by this server for this query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`cursor` does not belong to this query; leave it out to start at the first page")]
pub struct CursorError;

/// The cursor of the page that starts at `offset` of `query`'s results.
pub fn encode(query: &str, offset: u64) -> String {
    hex::encode([fingerprint(query).as_slice(), &offset.to_be_bytes()].concat())
}

/// The offset that `cursor` stands for.
pub fn decode(query: &str, cursor: &str) -> Result<u64, CursorError> {
    let bytes = hex::decode(cursor).map_err(|_| CursorError)?;
    let (print, offset) = bytes.split_at_checked(FINGERPRINT).ok_or(CursorError)?;
    let offset = u64::from_be_bytes(offset.try_into().map_err(|_| CursorError)?);
    if print == fingerprint(query) && i64::try_from(offset).is_ok() { Ok(offset) } else { Err(CursorError) }
}

fn fingerprint(query: &str) -> [u8; FINGERPRINT] {
    let digest = Digest::of(query.as_bytes());
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_fits_only_its_query() {
        let cursor = encode("sentiment", 20);
        assert_eq!(decode("sentiment", &cursor), Ok(20));
        for (query, cursor) in [("other", cursor.as_str()), ("sentiment", "zz"), ("sentiment", "")] {
            assert_eq!(decode(query, cursor), Err(CursorError));
        }
    }
}
