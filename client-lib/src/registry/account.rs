//! Passwords of built-in accounts: one method per route.

use hub_schemas::api::{ChangePassword, CreatedToken, LogIn};
use reqwest::Method;

use super::{RegistryClient, RegistryError};

impl RegistryClient {
    /// Makes a token with a user's password. Sent once: every attempt is counted.
    pub async fn log_in(&self, request: &LogIn) -> Result<CreatedToken, RegistryError> {
        let request = self.api(Method::POST, &["login"]).json(request);
        self.sender.json(self.sender.send_once(request).await?, "token").await
    }

    /// Sets or changes the caller's password. Sent once, like [`log_in`](Self::log_in).
    pub async fn change_password(&self, change: &ChangePassword) -> Result<(), RegistryError> {
        self.sender.send_once(self.api(Method::PUT, &["password"]).json(change)).await.map(drop)
    }
}
