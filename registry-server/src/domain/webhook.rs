//! What is sent to a webhook: a CloudEvent (CloudEvents 1.0, structured mode), signed as
//! Standard Webhooks 1.0 says, so that receivers verify it with libraries that exist.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;

/// How a secret begins (Standard Webhooks).
const SECRET_PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 32;
/// Longest address, in bytes.
pub const MAX_URL: usize = 500;

/// Something that happened in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// Names the event: receivers drop what they saw before.
    pub id: String,
    /// What happened, as in `version.published`.
    pub kind: String,
    /// To what, as in `lab/x@1.0.0`.
    pub subject: String,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// With which values.
    pub data: Value,
}

/// Why an address is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not an address at all.
    #[error("`url` is not an absolute address of at most {MAX_URL} bytes")]
    Form,
    /// Anybody could read it.
    #[error("`url` must begin with `https://`")]
    Scheme,
    /// A password would be stored, and shown to every owner.
    #[error("`url` must not have a user name or password")]
    Credentials,
}

/// Reads an address for a webhook. `plain` also allows `http`.
pub fn parse_url(text: &str, plain: bool) -> Result<Url, UrlError> {
    let url: Url = text.parse().ok().filter(|_| text.len() <= MAX_URL).ok_or(UrlError::Form)?;
    match url.scheme() {
        "https" => {}
        "http" if plain => {}
        _ => return Err(UrlError::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Credentials);
    }
    if url.has_host() { Ok(url) } else { Err(UrlError::Form) }
}

/// A new secret.
pub fn secret(rng: &mut impl CryptoRng) -> String {
    let mut bytes = [0; SECRET_BYTES];
    rng.fill_bytes(&mut bytes);
    format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes))
}

impl Happening {
    /// The body of a request: the same bytes every time it is tried.
    pub fn body(&self) -> String {
        let at = i128::from(self.at) * 1000;
        let time = OffsetDateTime::from_unix_timestamp_nanos(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        json!({
            "specversion": "1.0",
            "id": self.id,
            "source": "/adapter-hub",
            "type": format!("adapter-hub.{}", self.kind),
            "subject": self.subject,
            "time": time.format(&Rfc3339).unwrap_or_default(),
            "datacontenttype": "application/json",
            "data": self.data,
        })
        .to_string()
    }
}

/// The value of `webhook-signature`; `None` for a secret that is none.
pub fn sign(secret: &str, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of Standard Webhooks' own libraries.
        let found = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(found.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(sign("whsec_%", "id", 0, ""), None);
    }

    #[test]
    fn secrets_are_new_and_long() {
        let (one, two) = (secret(&mut rand::rng()), secret(&mut rand::rng()));
        assert!(one != two && one.starts_with("whsec_") && one.len() == 6 + 44);
    }

    #[test]
    fn addresses_are_https_without_secrets() {
        assert!(parse_url("https://example.org/hook?x=1", false).is_ok());
        assert!(parse_url("http://example.org/hook", true).is_ok());
        for (text, error) in [
            ("http://example.org/hook", UrlError::Scheme),
            ("file:///etc/passwd", UrlError::Scheme),
            ("hook", UrlError::Form),
            ("https://ada:secret@example.org/", UrlError::Credentials),
        ] {
            assert_eq!(parse_url(text, false), Err(error), "{text}");
        }
    }
}
