//! Whether an identity token holds: signature, issuer, audience and times.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, dangerous, decode, decode_header,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Issuers, KeyError};

/// Clocks differ by so much.
const LEEWAY_SECONDS: u64 = 60;
/// A token that works longer is no proof of what runs now, and would have to be remembered for long.
const MAX_LIFETIME_SECONDS: i64 = 24 * 3600;
/// A token is remembered so much longer than it works: clocks of replicas differ too, and one that
/// is behind must not take again what another has forgotten.
const REMEMBERED_SECONDS: i64 = 3600;
/// Tokens have one or two kilobytes.
const MAX_BYTES: usize = 16 << 10;
/// Longest `iss`, `jti` and `sub`, in bytes.
const MAX_TEXT: usize = 512;

/// What a token that holds says.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Who signed it.
    pub(crate) issuer: String,
    /// Whom it is about.
    pub(crate) subject: String,
    /// What tells it from all others of the issuer, where the issuer says that.
    pub(crate) jti: Option<String>,
    /// Until when it must be remembered, in seconds since 1970: it has ended everywhere then.
    pub(crate) remember_until: i64,
    /// All of its claims.
    pub(crate) claims: Map<String, Value>,
}

/// Why a token does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the identity token is not a JWT")]
    Form,
    #[error("tokens of the issuer `{0}` are not taken here")]
    Issuer(String),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the signature algorithm `{0:?}` does not go with the issuer's key")]
    Algorithm(Algorithm),
    #[error("the signature of the identity token is wrong")]
    Signature,
    #[error("the identity token has expired")]
    Expired,
    #[error("the identity token is not valid yet")]
    Early,
    #[error("the identity token is valid for more than a day")]
    LivesLong,
    #[error("the identity token has no claim `{0}` of the kind that it must be")]
    Claim(&'static str),
    #[error("the identity token is for the audience {found}; it must be for `{wanted}`")]
    Audience {
        /// What the token says.
        found: String,
        /// What it must say.
        wanted: String,
    },
}

impl Issuers {
    /// What `token` says, if it holds.
    pub(crate) async fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::Form);
        }
        let header = decode_header(token).map_err(|_| TokenError::Form)?;
        // Extensions that must be understood, of which there are none here (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenError::Form);
        }
        // Only to know whose key it would have to be signed with.
        let stated: Map<String, Value> =
            dangerous::insecure_decode_claims(token).map_err(|_| TokenError::Form)?;
        let named = text(&stated, "iss")?;
        let issuer = self.find(named).ok_or_else(|| TokenError::Issuer(named.to_owned()))?;
        let key = issuer.key(header.kid.as_deref()).await?;
        if !fits(&key, header.alg) {
            return Err(TokenError::Algorithm(header.alg));
        }
        let mut rules = Validation::new(header.alg);
        rules.leeway = LEEWAY_SECONDS;
        rules.validate_nbf = true;
        // Told apart below.
        rules.validate_aud = false;
        rules.set_issuer(&[&issuer.config.issuer]);
        rules.set_required_spec_claims(&["exp", "iss"]);
        let decoding = DecodingKey::from_jwk(&key).map_err(|_| TokenError::Algorithm(header.alg))?;
        let claims =
            decode::<Map<String, Value>>(token, &decoding, &rules).map_err(|e| told(e.kind()))?.claims;
        check_audience(&claims, &issuer.config.audience)?;
        let expires = claims.get("exp").and_then(Value::as_f64).ok_or(TokenError::Claim("exp"))? as i64;
        if expires.saturating_sub(OffsetDateTime::now_utc().unix_timestamp()) > MAX_LIFETIME_SECONDS {
            return Err(TokenError::LivesLong);
        }
        Ok(Identity {
            issuer: issuer.config.issuer.clone(),
            subject: text(&claims, "sub")?.to_owned(),
            jti: claims.get("jti").map(|_| text(&claims, "jti").map(ToOwned::to_owned)).transpose()?,
            remember_until: expires.saturating_add(REMEMBERED_SECONDS),
            claims,
        })
    }
}

/// Whether a key is one for the algorithm that a token names: whoever makes tokens must not
/// choose how they are checked.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let stated = key.common.key_algorithm.as_ref().map(ToString::to_string);
    if stated.is_some_and(|stated| stated != format!("{algorithm:?}")) {
        return false;
    }
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(
            algorithm,
            Algorithm::RS256
                | Algorithm::RS384
                | Algorithm::RS512
                | Algorithm::PS256
                | Algorithm::PS384
                | Algorithm::PS512
        ),
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => algorithm == Algorithm::ES256,
            EllipticCurve::P384 => algorithm == Algorithm::ES384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(_) => algorithm == Algorithm::EdDSA,
        _ => false,
    }
}

fn told(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::Early,
        ErrorKind::InvalidIssuer => TokenError::Claim("iss"),
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
            TokenError::Claim(if claim == "nbf" { "nbf" } else { "exp" })
        }
        _ => TokenError::Form,
    }
}

fn check_audience(claims: &Map<String, Value>, wanted: &str) -> Result<(), TokenError> {
    let found: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Err(TokenError::Claim("aud")),
    };
    if found.contains(&wanted) {
        return Ok(());
    }
    let found: Vec<_> = found.iter().map(|one| format!("`{one}`")).collect();
    Err(TokenError::Audience { found: found.join(", "), wanted: wanted.to_owned() })
}

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, TokenError> {
    let found = claims.get(name).and_then(Value::as_str);
    let fits = |text: &&str| (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control);
    found.filter(fits).ok_or(TokenError::Claim(name))
}
