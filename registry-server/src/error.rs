//! Errors as HTTP answers: RFC 9457 problems.
//!
//! Handlers return [`ApiError`]; what made it goes along for the log, and the
//! `problem` middleware adds the request id and writes the body. Nothing is logged
//! here: the request log does that, once.

use std::{fmt::Display, sync::Arc};

use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_RANGE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use hub_schemas::{
    name::{AdapterId, Namespace},
    problem::{Problem, ProblemCode},
};

use crate::{
    db::{adapters::VisibleAdapter, former_names::Kept},
    domain::{
        cursor::CursorError, deletion::Kept as Undeletable, permissions::Denied, publish::PublishError,
        quota::QuotaError, range::ContentRangeError, rate::Taken,
    },
    storage::StorageError,
};

/// An answer that is a problem.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    /// What the client is told.
    pub(crate) problem: Box<Problem>,
    /// What the log is told besides.
    pub(crate) cause: Option<Arc<str>>,
    header: Option<(HeaderName, HeaderValue)>,
    /// The name that an adapter has now, for the answer's `location`.
    pub(crate) moved_to: Option<Box<AdapterId>>,
}

/// What handlers return.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(code, detail)), cause: None, header: None, moved_to: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }

    /// Says when to ask again.
    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.header = Some((RETRY_AFTER, HeaderValue::from(seconds)));
        self
    }

    pub(crate) fn bad_request(detail: impl Display) -> Self {
        Self::new(ProblemCode::BadRequest, detail.to_string())
    }

    /// A value that has the right form, and still can't be taken.
    pub(crate) fn invalid_value(detail: impl Display) -> Self {
        Self::new(ProblemCode::InvalidValue, detail.to_string())
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::NotFound, detail)
    }

    /// The same for an adapter that does not exist and one the caller may not see.
    pub(crate) fn no_adapter(id: &AdapterId) -> Self {
        Self::not_found(format!("there is no adapter `{id}`"))
            .hint("check the name; a private adapter needs the token of somebody who may see it")
    }

    /// What stands where an adapter had its name, or was deleted.
    pub(crate) fn kept(id: &AdapterId, kept: &Kept) -> Self {
        match kept {
            Kept::Hidden => Self::no_adapter(id),
            Kept::Moved(to) => {
                let moved = Self::new(ProblemCode::Moved, format!("`{id}` is called `{to}` now"));
                Self { moved_to: Some(Box::new(to.clone())), ..moved }.hint(format!("use `{to}`"))
            }
            Kept::Deleted { reason, at } => {
                let detail = format!("`{id}` was deleted on {}: {reason}", at.date());
                Self::new(ProblemCode::Gone, detail)
            }
        }
    }

    /// The answer to whoever wants to publish under such a name.
    pub(crate) fn name_is_kept(id: &AdapterId, kept: &Kept) -> Self {
        let detail = match kept {
            Kept::Moved(to) => format!("`{id}` is called `{to}` now, and its old name leads there"),
            Kept::Deleted { .. } => format!("`{id}` was deleted, and its name is kept"),
            Kept::Hidden => format!("the name `{id}` is kept for an adapter that had it"),
        };
        Self::new(ProblemCode::Conflict, detail).hint(format!(
            "publish under another name, or let an owner of `{}` free this one with `hub free {id}`",
            id.namespace
        ))
    }

    /// The same for a namespace that does not exist and one the caller does not belong to.
    pub(crate) fn no_namespace(name: &Namespace) -> Self {
        Self::not_found(format!("there is no namespace `{name}` that you belong to"))
            .hint("check the name; an owner of the namespace can give you a role in it")
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        let header = (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"adapter-hub\""));
        Self { header: Some(header), ..Self::new(ProblemCode::Unauthorized, detail) }
    }

    pub(crate) fn range_not_satisfiable(size: u64) -> Self {
        let detail = format!("the range lies outside the file, which has {size} bytes");
        let header = HeaderValue::try_from(format!("bytes */{size}")).ok().map(|v| (CONTENT_RANGE, v));
        Self { header, ..Self::new(ProblemCode::RangeNotSatisfiable, detail) }
    }

    /// Refuses what an administrator took out of circulation, and says why.
    pub(crate) fn unless_quarantined(adapter: &VisibleAdapter) -> ApiResult<()> {
        let Some(quarantine) = &adapter.quarantine else { return Ok(()) };
        let detail = format!("`{}` is in quarantine: {}", adapter.id, quarantine.reason);
        Err(Self::new(ProblemCode::Quarantined, detail).hint("ask the registry's administrators about it"))
    }

    /// Somebody sent more requests than they may.
    pub(crate) fn too_fast(taken: &Taken, who: &str) -> Self {
        let wait = taken.retry_after.unwrap_or_default().as_secs_f64().ceil() as u64;
        let detail = format!("{who} sent more than {} requests in a minute", taken.limit);
        Self::new(ProblemCode::TooManyRequests, detail).retry_after(wait.max(1))
    }

    /// The database is away.
    fn without_database(cause: sqlx::Error) -> Self {
        Self::with_cause(ProblemCode::Unavailable, "the registry's database does not answer", cause)
            .hint("nothing was lost: try again in a moment")
    }

    /// A failure that is the server's; the client learns nothing but the request id.
    pub(crate) fn internal(cause: impl Display) -> Self {
        Self::with_cause(ProblemCode::Internal, "the registry could not answer this request", cause)
            .hint("try again; if it stays, tell the registry's operator the request id")
    }

    /// A problem whose cause only the log is told.
    pub(crate) fn with_cause(code: ProblemCode, detail: &str, cause: impl Display) -> Self {
        Self { cause: Some(cause.to_string().into()), ..Self::new(code, detail) }
    }

    /// What the log is told.
    pub(crate) fn reason(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.problem.detail)
    }

    fn storage_full(cause: impl Display) -> Self {
        Self::with_cause(ProblemCode::StorageFull, "the registry has no room left for this", cause).hint(
            "nothing was lost: free space on the registry and push again, it continues where it stopped",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        if let Some((name, value)) = self.header.clone() {
            response.headers_mut().insert(name, value);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        // SQLITE_FULL is 13, PostgreSQL's disk_full 53100; its class 08 are broken connections, 57P01 to 57P03
        // those of a server that stops or starts.
        let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
        match (&error, code.as_deref()) {
            (_, Some("13" | "53100")) => Self::storage_full(error),
            (sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed, _) => {
                Self::with_cause(ProblemCode::Unavailable, "the registry is overloaded or stopping", error)
                    .hint("try again in a moment")
            }
            (sqlx::Error::Io(_), _) => Self::without_database(error),
            (_, Some(code)) if code.starts_with("08") || code.starts_with("57P0") => {
                Self::without_database(error)
            }
            _ => Self::internal(error),
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full(_) => Self::storage_full(error),
            StorageError::Unavailable(_) => {
                Self::with_cause(ProblemCode::Unavailable, "the registry's storage does not answer", error)
                    .hint("nothing was lost: try again in a moment")
            }
            _ => Self::internal(error),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let hint = match &denied {
            Denied::Scope { scope, .. } => {
                format!(
                    "use a token with the scope `{scope}`; `hub token create` or the registry's operator makes one"
                )
            }
            Denied::Names { .. } => "use a token that is not limited, or limited to these names".to_owned(),
            Denied::NotAMember { namespace, .. } => {
                format!("publish under your own namespace, or ask an owner of `{namespace}` to add you")
            }
            Denied::Role { place, .. } => format!("ask an owner of {place} for that role"),
            Denied::NotOneself(user) => format!("`{user}` can do it"),
            Denied::NotAdministrator(_) => "ask an administrator of the registry".to_owned(),
        };
        Self::new(ProblemCode::Forbidden, denied.to_string()).hint(hint)
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let (code, hint) = match &error {
            PublishError::Manifest(_) | PublishError::OtherAddress { .. } => (
                ProblemCode::InvalidManifest,
                "correct the manifest; `hub push` writes it from the folder's files",
            ),
            PublishError::OtherKind { .. } => (ProblemCode::Conflict, "publish it under another name"),
            PublishError::NoBases => {
                (ProblemCode::Forbidden, "ask the registry's operator to set `max_base_bytes`")
            }
            PublishError::Dependency { .. } | PublishError::OwnDependency(_) => (
                ProblemCode::InvalidManifest,
                "publish the dependency first, or correct its name and version",
            ),
            PublishError::TooLarge { .. } => (
                ProblemCode::TooLarge,
                "publish smaller files, or ask the registry's operator to raise the limit",
            ),
            PublishError::Missing(_) => {
                (ProblemCode::BlobMissing, "upload these files to this adapter, then publish again")
            }
            PublishError::Size { .. } | PublishError::Content(_) | PublishError::Weights(_) => {
                (ProblemCode::InvalidFile, "nothing was published: correct the folder and push it again")
            }
        };
        Self::new(code, error.to_string()).hint(hint)
    }
}

impl From<QuotaError> for ApiError {
    fn from(error: QuotaError) -> Self {
        Self::new(ProblemCode::QuotaExceeded, error.to_string())
            .hint("nothing was published; the registry's operator can raise the quota of the namespace")
    }
}

impl From<Undeletable> for ApiError {
    fn from(kept: Undeletable) -> Self {
        let hint = match &kept {
            Undeletable::Needed { .. } => {
                "yank it: it is not chosen any more, but whoever needs it still gets it"
            }
            Undeletable::NeededWhole { .. } => {
                "yank its versions: they are not chosen any more, but whoever needs them still gets them"
            }
            Undeletable::InUse(_) => "yank it first, so that whoever uses it is told",
        };
        Self::new(ProblemCode::Conflict, kept.to_string()).hint(hint)
    }
}

impl From<CursorError> for ApiError {
    fn from(error: CursorError) -> Self {
        Self::invalid_value(error)
    }
}

impl From<ContentRangeError> for ApiError {
    fn from(error: ContentRangeError) -> Self {
        Self::invalid_value(error)
    }
}
