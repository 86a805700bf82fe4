//! Path and query parameters, parsed into their types.

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use hub_schemas::{
    digest::Digest,
    name::{AdapterId, AdapterName, Namespace, TeamName},
    version::Version,
};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use crate::error::ApiError;

/// Path parameters.
pub(crate) struct ApiPath<T>(pub(crate) T);

/// Query parameters; an unknown one is refused, so that a misspelt filter is noticed.
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::bad_request(strip(&rejection.body_text(), "Invalid URL: "))),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                Err(ApiError::bad_request(strip(&text, "Failed to deserialize query string: ")))
            }
        }
    }
}

fn strip<'a>(text: &'a str, prefix: &str) -> &'a str {
    text.strip_prefix(prefix).unwrap_or(text)
}

/// `/adapters/{namespace}/{name}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AdapterPath {
    /// Owner.
    namespace: Namespace,
    /// Name in its namespace.
    name: AdapterName,
}

/// `/adapters/{namespace}/{name}/versions/{version}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct VersionPath {
    /// Owner.
    namespace: Namespace,
    /// Name in its namespace.
    name: AdapterName,
    /// Semantic version.
    pub(crate) version: Version,
}

/// `/adapters/{namespace}/{name}/blobs/{digest}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct BlobPath {
    /// Owner.
    namespace: Namespace,
    /// Name in its namespace.
    name: AdapterName,
    /// SHA-256 of the content.
    pub(crate) digest: Digest,
}

/// `/manifests/{digest}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct DigestPath {
    /// SHA-256 of the content.
    pub(crate) digest: Digest,
}

/// `/namespaces/{namespace}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct NamespacePath {
    /// The namespace.
    pub(crate) namespace: Namespace,
}

/// `/namespaces/{namespace}/members/{user}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct MemberPath {
    /// The namespace.
    pub(crate) namespace: Namespace,
    /// The user.
    pub(crate) user: Namespace,
}

/// `/adapters/{namespace}/{name}/collaborators/{user}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct CollaboratorPath {
    /// Owner.
    namespace: Namespace,
    /// Name in its namespace.
    name: AdapterName,
    /// The user.
    pub(crate) user: Namespace,
}

/// `/namespaces/{namespace}/teams/{team}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct TeamPath {
    /// The organisation.
    pub(crate) namespace: Namespace,
    /// The team.
    pub(crate) team: TeamName,
}

/// `/namespaces/{namespace}/teams/{team}/members/{user}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct TeamMemberPath {
    /// The organisation.
    pub(crate) namespace: Namespace,
    /// The team.
    pub(crate) team: TeamName,
    /// The user.
    pub(crate) user: Namespace,
}

/// `/adapters/{namespace}/{name}/teams/{team}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AdapterTeamPath {
    /// Owner.
    namespace: Namespace,
    /// Name in its namespace.
    name: AdapterName,
    /// The team.
    pub(crate) team: TeamName,
}

/// `/namespaces/{namespace}/webhooks/{id}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct WebhookPath {
    /// The namespace.
    pub(crate) namespace: Namespace,
    /// The webhook's id.
    pub(crate) id: String,
}

/// `/adapters/{namespace}/{name}/publishers/{id}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct PublisherPath {
    /// Owner.
    namespace: Namespace,
    /// Name in its namespace.
    name: AdapterName,
    /// The publisher's id.
    pub(crate) id: String,
}

/// `/tokens/{id}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct TokenPath {
    /// The token's id.
    pub(crate) id: String,
}

/// `/identities/{id}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct IdentityPath {
    /// The linked identity's id.
    pub(crate) id: String,
}

/// `/uploads/{id}`
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct UploadPath {
    /// The upload.
    pub(crate) id: String,
}

impl From<AdapterPath> for AdapterId {
    fn from(path: AdapterPath) -> Self {
        Self { namespace: path.namespace, name: path.name }
    }
}

impl VersionPath {
    pub(crate) fn adapter(&self) -> AdapterId {
        AdapterId { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl CollaboratorPath {
    pub(crate) fn adapter(&self) -> AdapterId {
        AdapterId { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl AdapterTeamPath {
    pub(crate) fn adapter(&self) -> AdapterId {
        AdapterId { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl PublisherPath {
    pub(crate) fn adapter(&self) -> AdapterId {
        AdapterId { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl BlobPath {
    pub(crate) fn adapter(&self) -> AdapterId {
        AdapterId { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}
