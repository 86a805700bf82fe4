//! No browser on this machine: the device authorisation grant (RFC 8628), where the person types a code
//! on another one.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Granted, ProvenIdentity, Provider};
use crate::registry::RegistryError;

/// How often is asked where the provider does not say (section 3.2), and by how much less often when it
/// says that this is too much (section 3.5).
const INTERVAL: u64 = 5;
const SLOWER_BY: Duration = Duration::from_secs(5);
/// A provider that never ends a code is not asked for ever.
const LONGEST: u64 = 1800;

/// What the person is told.
#[derive(Debug, Clone, Deserialize)]
pub struct DeviceCode {
    #[serde(rename = "device_code")]
    secret: String,
    /// What they type.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it.
    #[serde(default)]
    pub verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

/// A login that waits for the person to type the code.
#[derive(Debug, Clone)]
pub struct DeviceLogin {
    provider: Provider,
    /// What the person is told.
    pub code: DeviceCode,
}

/// What the endpoint answers: a code, or why there is none.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Begun {
    Code(DeviceCode),
    Refused { error: String },
}

impl Provider {
    /// Begins a login on another machine.
    pub async fn on_device(&self) -> Result<DeviceLogin, RegistryError> {
        let url = self.endpoints.device_authorization_endpoint.as_ref();
        let url =
            url.ok_or_else(|| self.refused("it has no device flow; log in where there is a browser"))?;
        let scopes = self.login.scopes.join(" ");
        let fields = [("client_id", self.login.client_id.as_str()), ("scope", &scopes)];
        match self.post(url, &fields).await? {
            Begun::Code(code) => Ok(DeviceLogin { provider: self.clone(), code }),
            Begun::Refused { error } => Err(self.refused(format!("it answers `{error}`"))),
        }
    }
}

impl DeviceLogin {
    /// Waits until they did, and takes the identity token.
    pub async fn identity(self) -> Result<ProvenIdentity, RegistryError> {
        let Self { provider, code } = self;
        let ends = Instant::now() + Duration::from_secs(code.expires_in.min(LONGEST));
        let mut wait = Duration::from_secs(code.interval.unwrap_or(INTERVAL).min(LONGEST));
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", code.secret.as_str()),
            ("client_id", provider.login.client_id.as_str()),
        ];
        while Instant::now() < ends {
            tokio::time::sleep(wait).await;
            let granted: Granted = provider.post(&provider.endpoints.token_endpoint, &fields).await?;
            match granted.error.as_deref() {
                Some("authorization_pending") => {}
                Some("slow_down") => wait += SLOWER_BY,
                _ => return Ok(ProvenIdentity { token: provider.identity(granted)?, nonce: None }),
            }
        }
        Err(provider.refused("nobody typed the code in time"))
    }
}
