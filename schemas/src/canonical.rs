//! Canonical JSON (RFC 8785): one value, one sequence of bytes, one digest.

use serde::Serialize;
use serde_json::Value;

/// Why bytes are not canonical JSON.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// Not JSON, or a value JSON can't carry (such as NaN).
    #[error("not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but another spelling of it.
    #[error("not in canonical form (RFC 8785): keys sorted, no white space, shortest numbers")]
    NotCanonical,
}

/// The canonical bytes of `value`.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    Ok(serde_json_canonicalizer::to_vec(value)?)
}

/// Reads `bytes` and checks that they are the canonical form of what they say.
pub fn parse(bytes: &[u8]) -> Result<Value, CanonicalError> {
    let value: Value = serde_json::from_slice(bytes)?;
    if to_bytes(&value)? == bytes { Ok(value) } else { Err(CanonicalError::NotCanonical) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_numbers_shortest() {
        let value = serde_json::json!({"b": 1.0, "a": [0.00001, 1e21, "é\n"]});
        let text = String::from_utf8(to_bytes(&value).expect("canonical")).expect("UTF-8");
        assert_eq!(text, "{\"a\":[0.00001,1e+21,\"é\\n\"],\"b\":1}");
    }

    #[test]
    fn another_spelling_is_refused() {
        assert!(parse(br#"{"a":1,"b":2}"#).is_ok());
        for other in [&br#"{"b":2,"a":1}"#[..], br#"{"a": 1}"#, br#"{"a":1.0}"#, br#"{"a":1,"a":1}"#] {
            assert!(
                matches!(parse(other), Err(CanonicalError::NotCanonical)),
                "{}",
                String::from_utf8_lossy(other)
            );
        }
    }
}
