//! Logging in by the word of an identity provider (OpenID Connect), as a program on a person's machine
//! does it: in their browser, or with a code that they type elsewhere.
//!
//! The provider's identity token goes to the registry, which makes a token of its own for it. `hub` is a
//! public client: there is no secret to keep, PKCE takes its place (RFC 8252, RFC 7636).

mod browser;
mod device;

use hub_schemas::api::{CreatedToken, LinkIdentity, LinkedIdentity, LoginProvider, OidcLogIn};
use rand::Rng as _;
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::{RegistryClient, RegistryError, Secret, http::display_url};

pub use browser::Browser;
pub use device::{DeviceCode, DeviceLogin};

/// A document of a provider has some kilobytes.
const MAX_BYTES: usize = 256 << 10;

/// What a provider said, and what the registry must find in it.
#[derive(Debug, Clone)]
pub struct ProvenIdentity {
    /// The identity token.
    pub token: Secret,
    /// What it must have as `nonce`, where it was asked for with one.
    pub nonce: Option<String>,
}

/// A provider, and where its parts are.
#[derive(Debug, Clone)]
pub struct Provider {
    client: RegistryClient,
    login: LoginProvider,
    endpoints: Endpoints,
}

/// What is needed of a discovery document (OpenID Connect Discovery 1.0, section 3; RFC 8628, section 4).
#[derive(Debug, Clone, Deserialize)]
struct Endpoints {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    #[serde(default)]
    device_authorization_endpoint: Option<Url>,
}

/// What a token endpoint answers (RFC 6749, sections 5.1 and 5.2).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Granted {
    id_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl RegistryClient {
    /// The identity providers by whose word people log in.
    pub async fn login_providers(&self) -> Result<Vec<LoginProvider>, RegistryError> {
        self.sender.fetch("list of identity providers", || self.api(Method::GET, &["oidc", "logins"])).await
    }

    /// Makes a token for whoever an identity token is about. Sent once: it is taken once.
    pub async fn log_in_by_identity(&self, request: &OidcLogIn) -> Result<CreatedToken, RegistryError> {
        let request = self.api(Method::POST, &["oidc", "login"]).json(request);
        self.sender.json(self.sender.send_once(request).await?, "token").await
    }

    /// Lets whoever an identity token is about log in as the caller. Sent once.
    pub async fn link_identity(&self, link: &LinkIdentity) -> Result<(), RegistryError> {
        self.sender.send_once(self.api(Method::POST, &["identities"]).json(link)).await.map(drop)
    }

    /// Who logs in as the caller by the word of an identity provider.
    pub async fn identities(&self) -> Result<Vec<LinkedIdentity>, RegistryError> {
        self.sender.fetch("list of identities", || self.api(Method::GET, &["identities"])).await
    }

    /// Lets an identity log in as the caller no more.
    pub async fn unlink_identity(&self, id: &str) -> Result<(), RegistryError> {
        self.sender.send(|| self.api(Method::DELETE, &["identities", id])).await.map(drop)
    }

    /// Asks a provider where its parts are.
    pub async fn discover(&self, login: LoginProvider) -> Result<Provider, RegistryError> {
        let refuse = |reason: String| refused(&login.issuer, reason);
        let mut url: Url = login.issuer.parse().map_err(|_| refuse("its address is none".to_owned()))?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([".well-known", "openid-configuration"]);
        }
        let asked = self.sender.elsewhere(Method::GET, url);
        let (status, endpoints): (u16, Endpoints) = document(self, &login.issuer, asked).await?;
        if status != 200 || endpoints.issuer != login.issuer {
            return Err(refuse(format!("its discovery document is that of `{}`", endpoints.issuer)));
        }
        let all = [&endpoints.authorization_endpoint, &endpoints.token_endpoint];
        for url in all.into_iter().chain(&endpoints.device_authorization_endpoint) {
            if !is_secure(url) {
                return Err(refuse(format!(
                    "it names the address {}, which is not secure",
                    display_url(url)
                )));
            }
        }
        Ok(Provider { client: self.clone(), login, endpoints })
    }
}

impl Provider {
    async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<T, RegistryError> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = (self.client.sender.elsewhere(Method::POST, url.clone()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(body);
        document(&self.client, &self.login.issuer, request).await.map(|(_, found)| found)
    }

    fn refused(&self, reason: impl Into<String>) -> RegistryError {
        refused(&self.login.issuer, reason)
    }

    /// The identity token of an answer, or why there is none.
    fn identity(&self, granted: Granted) -> Result<Secret, RegistryError> {
        match (granted.id_token, granted.error) {
            (Some(token), _) => Ok(Secret::new(&token)),
            (None, Some(error)) => {
                let more = granted.error_description.map(|text| format!(": {text}")).unwrap_or_default();
                Err(self.refused(format!("it answers `{error}`{more}")))
            }
            (None, None) => Err(self.refused("it gives no identity token; does it know the scope `openid`?")),
        }
    }
}

/// A JSON document, whatever the status: refusals are documents too.
async fn document<T: DeserializeOwned>(
    client: &RegistryClient,
    issuer: &str,
    request: reqwest::RequestBuilder,
) -> Result<(u16, T), RegistryError> {
    let response = client.sender.answer(request).await?;
    let status = response.status().as_u16();
    let bytes = super::http::read_bounded(response, MAX_BYTES, "answer of the identity provider").await?;
    serde_json::from_slice(&bytes)
        .map(|found| (status, found))
        .map_err(|error| refused(issuer, format!("it answers {status}, and not as a provider does: {error}")))
}

fn refused(issuer: &str, reason: impl Into<String>) -> RegistryError {
    RegistryError::Provider { url: issuer.to_owned(), reason: reason.into() }
}

/// Whether nobody on the way can read or answer.
fn is_secure(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    url.scheme() == "https" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// 256 bits that nobody guesses, in letters that an address takes as they are.
fn random_word() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}
