//! Who may do what, and with which tokens: one method per route.

use hub_schemas::{
    AdapterId, Namespace, TeamName,
    api::{
        Collaborators, CreateOrganisation, CreateToken, CreateWebhook, CreatedToken, CreatedWebhook,
        GrantRole, NamespaceInfo, RetentionPreview, RetentionRules, Role, SetTeam, Team, TokenEntry, Webhook,
    },
};
use reqwest::Method;

use super::{RegistryClient, RegistryError};

/// What becomes of somebody in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeamChange {
    /// They are in it from now on.
    Add,
    /// They are in it no more.
    Remove,
}

impl RegistryClient {
    /// A namespace and who belongs to it.
    pub async fn namespace(&self, name: &Namespace) -> Result<NamespaceInfo, RegistryError> {
        self.sender.fetch("namespace", || self.api(Method::GET, &["namespaces", name.as_str()])).await
    }

    /// Makes an organisation that the caller owns. Sent once: the answer to a second request
    /// would be that the name is taken.
    pub async fn create_organisation(&self, name: &Namespace) -> Result<NamespaceInfo, RegistryError> {
        let request =
            self.api(Method::POST, &["namespaces"]).json(&CreateOrganisation { name: name.clone() });
        self.sender.json(self.sender.send_once(request).await?, "namespace").await
    }

    /// Gives `user` a role in a namespace.
    pub async fn grant_member(
        &self,
        namespace: &Namespace,
        user: &Namespace,
        role: Role,
    ) -> Result<(), RegistryError> {
        let path = ["namespaces", namespace.as_str(), "members", user.as_str()];
        self.sender.send(|| self.api(Method::PUT, &path).json(&GrantRole { role })).await.map(drop)
    }

    /// Takes the role of `user` in a namespace away.
    pub async fn revoke_member(&self, namespace: &Namespace, user: &Namespace) -> Result<(), RegistryError> {
        let path = ["namespaces", namespace.as_str(), "members", user.as_str()];
        self.sender.send(|| self.api(Method::DELETE, &path)).await.map(drop)
    }

    /// Who has a role for one adapter.
    pub async fn collaborators(&self, id: &AdapterId) -> Result<Collaborators, RegistryError> {
        self.sender.fetch("list of collaborators", || self.of(Method::GET, id, &["collaborators"])).await
    }

    /// Gives `user` a role for one adapter.
    pub async fn grant_collaborator(
        &self,
        id: &AdapterId,
        user: &Namespace,
        role: Role,
    ) -> Result<(), RegistryError> {
        let path = ["collaborators", user.as_str()];
        self.sender.send(|| self.of(Method::PUT, id, &path).json(&GrantRole { role })).await.map(drop)
    }

    /// Takes the role of `user` for one adapter away.
    pub async fn revoke_collaborator(&self, id: &AdapterId, user: &Namespace) -> Result<(), RegistryError> {
        self.sender.send(|| self.of(Method::DELETE, id, &["collaborators", user.as_str()])).await.map(drop)
    }

    /// Makes a team, or changes what its people are in the namespace.
    pub async fn set_team(
        &self,
        namespace: &Namespace,
        team: &TeamName,
        role: Option<Role>,
    ) -> Result<Team, RegistryError> {
        let path = ["namespaces", namespace.as_str(), "teams", team.as_str()];
        self.sender.fetch("team", || self.api(Method::PUT, &path).json(&SetTeam { role })).await
    }

    /// Removes a team.
    pub async fn remove_team(&self, namespace: &Namespace, team: &TeamName) -> Result<(), RegistryError> {
        let path = ["namespaces", namespace.as_str(), "teams", team.as_str()];
        self.sender.send(|| self.api(Method::DELETE, &path)).await.map(drop)
    }

    /// Puts `user` into a team, or takes them out.
    pub async fn change_team(
        &self,
        namespace: &Namespace,
        team: &TeamName,
        user: &Namespace,
        change: TeamChange,
    ) -> Result<(), RegistryError> {
        let path = ["namespaces", namespace.as_str(), "teams", team.as_str(), "members", user.as_str()];
        let method = match change {
            TeamChange::Add => Method::PUT,
            TeamChange::Remove => Method::DELETE,
        };
        self.sender.send(|| self.api(method.clone(), &path)).await.map(drop)
    }

    /// Gives a team a role on one adapter.
    pub async fn grant_team(&self, id: &AdapterId, team: &TeamName, role: Role) -> Result<(), RegistryError> {
        let path = ["teams", team.as_str()];
        self.sender.send(|| self.of(Method::PUT, id, &path).json(&GrantRole { role })).await.map(drop)
    }

    /// Takes a team's role on one adapter away.
    pub async fn revoke_team(&self, id: &AdapterId, team: &TeamName) -> Result<(), RegistryError> {
        self.sender.send(|| self.of(Method::DELETE, id, &["teams", team.as_str()])).await.map(drop)
    }

    /// The caller's tokens.
    pub async fn tokens(&self) -> Result<Vec<TokenEntry>, RegistryError> {
        self.sender.fetch("list of tokens", || self.api(Method::GET, &["tokens"])).await
    }

    /// Makes a token. Sent once: a second request would make a second one that nobody knows of.
    pub async fn create_token(&self, wanted: &CreateToken) -> Result<CreatedToken, RegistryError> {
        let request = self.api(Method::POST, &["tokens"]).json(wanted);
        self.sender.json(self.sender.send_once(request).await?, "token").await
    }

    /// Makes one of the caller's tokens useless.
    pub async fn revoke_token(&self, id: &str) -> Result<(), RegistryError> {
        self.sender.send(|| self.api(Method::DELETE, &["tokens", id])).await.map(drop)
    }

    /// Which versions of a namespace are deleted by rule.
    pub async fn retention(&self, namespace: &Namespace) -> Result<RetentionRules, RegistryError> {
        let path = ["namespaces", namespace.as_str(), "retention"];
        self.sender.fetch("rules", || self.api(Method::GET, &path)).await
    }

    /// Sets which versions of a namespace are deleted by rule.
    pub async fn set_retention(
        &self,
        namespace: &Namespace,
        rules: &RetentionRules,
    ) -> Result<RetentionRules, RegistryError> {
        let path = ["namespaces", namespace.as_str(), "retention"];
        self.sender.fetch("rules", || self.api(Method::PUT, &path).json(rules)).await
    }

    /// What rules would delete now.
    pub async fn preview_retention(
        &self,
        namespace: &Namespace,
        rules: &RetentionRules,
    ) -> Result<RetentionPreview, RegistryError> {
        let path = ["namespaces", namespace.as_str(), "retention", "preview"];
        self.sender.fetch("preview", || self.api(Method::POST, &path).json(rules)).await
    }

    /// Where the events of a namespace are sent.
    pub async fn webhooks(&self, namespace: &Namespace) -> Result<Vec<Webhook>, RegistryError> {
        let path = ["namespaces", namespace.as_str(), "webhooks"];
        self.sender.fetch("list of webhooks", || self.api(Method::GET, &path)).await
    }

    /// Sends the events of a namespace to `url`. Sent once, like [`create_token`](Self::create_token).
    pub async fn add_webhook(
        &self,
        namespace: &Namespace,
        url: &str,
    ) -> Result<CreatedWebhook, RegistryError> {
        let path = ["namespaces", namespace.as_str(), "webhooks"];
        let request = self.api(Method::POST, &path).json(&CreateWebhook { url: url.to_owned() });
        self.sender.json(self.sender.send_once(request).await?, "webhook").await
    }

    /// Sends the events of a namespace there no more.
    pub async fn remove_webhook(&self, namespace: &Namespace, id: &str) -> Result<(), RegistryError> {
        let path = ["namespaces", namespace.as_str(), "webhooks", id];
        self.sender.send(|| self.api(Method::DELETE, &path)).await.map(drop)
    }
}
