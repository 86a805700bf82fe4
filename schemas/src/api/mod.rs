//! The types of the HTTP API. Times are RFC 3339 in UTC, sizes are bytes.

mod account;
mod adapter;
mod audit;
mod base;
mod changes;
mod content_digest;
mod oidc;
mod people;
mod pulls;
mod resolve;
mod retention;
mod search;
mod upload;
mod webhook;

pub use account::{
    ChangePassword, CreateToken, CreatedToken, LogIn, MAX_PASSWORD_BYTES, MAX_TOKEN_NAME, MAX_TOKEN_NAMES,
    MIN_PASSWORD_CHARS, TokenEntry, TokenInfo, WhoAmI,
};
pub use adapter::{
    AdapterInfo, AdapterSummary, BaseSummary, ChangeVisibility, DeleteQuery, IndexDocument, MetricSummary,
    MoveAdapter, PublishQuery, Published, Quarantine, QuarantineRequest, Tombstone, VersionEntry, Visibility,
    VisibilityError, Yank, YankRequest,
};
pub use audit::{AuditPage, AuditQuery, AuditRecord, DEFAULT_AUDIT_LIMIT, MAX_AUDIT_LIMIT};
pub use base::{BaseVersion, BaseVersions};
pub use changes::{
    Change, ChangeKind, ChangesPage, ChangesQuery, DEFAULT_CHANGES_LIMIT, MAX_CHANGES_LIMIT, MAX_CHANGES_WAIT,
};
pub use content_digest::{CONTENT_DIGEST_HEADER, ContentDigestError, content_digest, parse_content_digest};
pub use oidc::{
    CreatePublisher, ExchangeToken, Issuer, LinkIdentity, LinkedIdentity, LoginProvider, OidcLogIn, Publisher,
};
pub use people::{
    Collaborators, CreateOrganisation, GrantRole, Member, NamespaceInfo, NamespaceKind, Role, RoleError,
    SetTeam, Team, TeamRole, Usage,
};
pub use pulls::{DEFAULT_PULL_DAYS, MAX_PULL_DAYS, PullDay, PullHistory, PullQuery};
pub use resolve::{Candidate, Reason, Resolution, ResolveQuery};
pub use retention::{Expired, RetentionPreview, RetentionRules};
pub use search::{DEFAULT_LIMIT, MAX_LIMIT, SearchPage, SearchQuery};
pub use upload::{PartAddress, SentPart, StartUpload, UploadPart, UploadStatus};
pub use webhook::{CreateWebhook, CreatedWebhook, Webhook};

/// How old a version list is that was mirrored from a registry that does not answer, in seconds.
pub const STALE_HEADER: &str = "hub-stale-seconds";

/// Every path of the API starts so.
pub const API_PREFIX: &str = "/api/v1";
