//! The types of the HTTP API. Times are RFC 3339 in UTC, sizes are bytes.

mod account;
mod adapter;
mod resolve;
mod search;
mod upload;

pub use account::{TokenInfo, WhoAmI};
pub use adapter::{
    AdapterInfo, AdapterSummary, BaseSummary, ChangeVisibility, IndexDocument, MetricSummary, PublishQuery,
    Published, VersionEntry, Visibility, Yank, YankRequest,
};
pub use resolve::{Candidate, Reason, Resolution, ResolveQuery};
pub use search::{DEFAULT_LIMIT, MAX_LIMIT, SearchPage, SearchQuery};
pub use upload::{StartUpload, UploadStatus};

/// Every path of the API starts so.
pub const API_PREFIX: &str = "/api/v1";
