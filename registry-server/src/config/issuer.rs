//! Whose identity tokens are exchanged for tokens of this registry. There may be several, so
//! they are in the file alone.

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// One `[[issuers]]` of the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerSettings {
    /// What its tokens have as `iss`, letter by letter.
    pub url: String,
    /// What its tokens must have as `aud`: a name of this registry that no other service has.
    pub audience: String,
    /// Where its keys are, if its discovery document would name another host.
    pub keys_url: Option<String>,
}

/// An issuer of identity tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    /// What its tokens have as `iss`.
    pub issuer: String,
    /// The same as an address, below which its discovery document is.
    pub url: Url,
    /// What its tokens must have as `aud`.
    pub audience: String,
    /// Where its keys are, where that is not discovered.
    pub keys_url: Option<Url>,
}

impl IssuerSettings {
    /// Checks every issuer, and that none is there twice.
    pub(super) fn resolve(all: &[Self]) -> Result<Vec<IssuerConfig>, ConfigError> {
        let checked = all.iter().map(Self::checked).collect::<Result<Vec<_>, _>>()?;
        for (at, issuer) in checked.iter().enumerate() {
            if checked[..at].iter().any(|other| other.issuer == issuer.issuer) {
                return Err(ConfigError::Issuer(format!("the issuer `{}` is there twice", issuer.issuer)));
            }
        }
        Ok(checked)
    }

    fn checked(&self) -> Result<IssuerConfig, ConfigError> {
        if self.audience.is_empty() {
            let detail = format!("the issuer `{}` has no `audience`; name this registry", self.url);
            return Err(ConfigError::Issuer(detail));
        }
        Ok(IssuerConfig {
            issuer: self.url.clone(),
            url: address(&self.url)?,
            audience: self.audience.clone(),
            keys_url: self.keys_url.as_deref().map(address).transpose()?,
        })
    }
}

/// An address that nobody on the way can answer for.
fn address(text: &str) -> Result<Url, ConfigError> {
    let refuse = || {
        let detail = format!("`{text}` is not the `https` address of an issuer, without user and query");
        ConfigError::Issuer(detail)
    };
    let url = Url::parse(text).map_err(|_| refuse())?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let on_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let secure = url.scheme() == "https" || (url.scheme() == "http" && on_loopback);
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if secure && plain && url.fragment().is_none() { Ok(url) } else { Err(refuse()) }
}

impl From<&IssuerConfig> for IssuerSettings {
    fn from(issuer: &IssuerConfig) -> Self {
        Self {
            url: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            keys_url: issuer.keys_url.as_ref().map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_reached_by_tls_or_on_this_machine() {
        let of = |url: &str, audience: &str| {
            let settings =
                IssuerSettings { url: url.to_owned(), audience: audience.to_owned(), keys_url: None };
            IssuerSettings::resolve(&[settings]).map_err(|e| e.to_string())
        };
        assert!(of("https://token.actions.githubusercontent.com", "hub").is_ok());
        assert!(of("http://127.0.0.1:80", "hub").is_ok() && of("http://[::1]:80", "hub").is_ok());
        for wrong in ["http://example.org", "http://localhost", "https://a:b@example.org", "file:///etc", "x"]
        {
            assert!(of(wrong, "hub").is_err(), "{wrong}");
        }
        assert!(of("https://example.org", "").is_err());
    }
}
