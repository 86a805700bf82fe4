//! The header by which a body says what it must be when it arrives.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::digest::Digest;

/// Name of the header (RFC 9530).
pub const CONTENT_DIGEST_HEADER: &str = "content-digest";

/// A `Content-Digest` whose SHA-256 can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "its `sha-256` is not 32 bytes in base64 between colons, as in `sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:`"
)]
pub struct ContentDigestError;

/// The header's value for a body with this digest.
pub fn content_digest(digest: &Digest) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest.as_bytes()))
}

/// The SHA-256 of a header's value; `None` where it has only digests of other kinds, which nobody here compares.
pub fn parse_content_digest(value: &str) -> Result<Option<Digest>, ContentDigestError> {
    let Some(found) = value.split(',').find_map(|member| member.trim().strip_prefix("sha-256=")) else {
        return Ok(None);
    };
    // Parameters, which the standard allows, say nothing here.
    let found = found.split(';').next().unwrap_or_default().trim_end();
    let encoded =
        found.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).ok_or(ContentDigestError)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| ContentDigestError)?;
    <[u8; 32]>::try_from(bytes).map(|bytes| Some(Digest::from(bytes))).map_err(|_| ContentDigestError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_that_of_the_standard() {
        // The body and the value of RFC 9530, appendix B.1: `{"hello": "world"}` and a line feed.
        let digest = Digest::of(b"{\"hello\": \"world\"}\n");
        let value = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        assert_eq!(content_digest(&digest), value);
        assert_eq!(parse_content_digest(value), Ok(Some(digest)));
        assert_eq!(parse_content_digest(&format!("sha-512=:AAAA:, {value}")), Ok(Some(digest)));
        assert_eq!(parse_content_digest(&format!("{value};a=1")), Ok(Some(digest)));
        assert_eq!(parse_content_digest("sha-512=:AAAA:"), Ok(None));
    }

    #[test]
    fn what_is_no_sha_256_is_refused() {
        for value in ["sha-256=", "sha-256=::", "sha-256=:AAAA:", "sha-256=RK/0qy18", "sha-256=:%%:"] {
            assert_eq!(parse_content_digest(value), Err(ContentDigestError), "{value}");
        }
    }
}
