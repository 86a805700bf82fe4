//! Parsing requests, so that every refusal has our body.

mod auth;
mod body;
mod path;
mod peer;

pub(crate) use auth::{Authenticated, Reader};
pub(crate) use body::{ApiJson, ManifestBytes};
pub(crate) use path::{
    AdapterPath, AdapterTeamPath, ApiPath, ApiQuery, BlobPath, CollaboratorPath, DigestPath, IdentityPath,
    MemberPath, NamespacePath, PublisherPath, TeamMemberPath, TeamPath, TokenPath, UploadPath, VersionPath,
    WebhookPath,
};
pub(crate) use peer::Peer;
