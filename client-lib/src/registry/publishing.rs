//! Trusted publishing: programs that publish with identity tokens of their CI.

use hub_schemas::{
    AdapterId,
    api::{CreatePublisher, CreatedToken, ExchangeToken, Issuer, Publisher},
};
use reqwest::Method;
use serde::Deserialize;
use url::Url;

use super::{RegistryClient, RegistryError, Secret};

/// What GitHub's runners answer.
#[derive(Deserialize)]
struct Answer {
    value: String,
}

impl RegistryClient {
    /// Who is trusted with publishing an adapter.
    pub async fn publishers(&self, id: &AdapterId) -> Result<Vec<Publisher>, RegistryError> {
        self.sender.fetch("list of publishers", || self.of(Method::GET, id, &["publishers"])).await
    }

    /// Trusts programs with publishing an adapter. Sent once: a second request would make another.
    pub async fn add_publisher(
        &self,
        id: &AdapterId,
        wanted: &CreatePublisher,
    ) -> Result<Publisher, RegistryError> {
        let request = self.of(Method::POST, id, &["publishers"]).json(wanted);
        self.sender.json(self.sender.send_once(request).await?, "publisher").await
    }

    /// Trusts them no more.
    pub async fn remove_publisher(&self, id: &AdapterId, publisher: &str) -> Result<(), RegistryError> {
        self.sender.send(|| self.of(Method::DELETE, id, &["publishers", publisher])).await.map(drop)
    }

    /// Whose identity tokens the registry takes, and for which audience.
    pub async fn issuers(&self) -> Result<Vec<Issuer>, RegistryError> {
        self.sender.fetch("list of issuers", || self.api(Method::GET, &["oidc", "issuers"])).await
    }

    /// Exchanges an identity token. Sent once: it is taken once.
    pub async fn exchange_token(
        &self,
        id: &AdapterId,
        identity: &Secret,
    ) -> Result<CreatedToken, RegistryError> {
        let body = ExchangeToken { adapter: id.clone(), token: identity.expose().to_owned() };
        let request = self.api(Method::POST, &["oidc", "exchange"]).json(&body);
        self.sender.json(self.sender.send_once(request).await?, "token").await
    }

    /// The identity token that a runner of GitHub Actions gives its job: asked for at `url`, which
    /// has a query already, with the job's own token.
    pub async fn identity_of_the_job(
        &self,
        mut url: Url,
        job: &Secret,
        audience: &str,
    ) -> Result<Secret, RegistryError> {
        url.query_pairs_mut().append_pair("audience", audience);
        let answer: Answer = self
            .sender
            .fetch("identity token", || {
                self.sender.elsewhere(Method::GET, url.clone()).bearer_auth(job.expose())
            })
            .await?;
        Ok(Secret::new(&answer.value))
    }
}
