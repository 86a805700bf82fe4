//! What can go wrong between here and a registry.

use std::{error::Error as _, io, path::PathBuf, time::Duration};

use hub_schemas::{
    Digest,
    problem::{Problem, ProblemCode},
};

/// What can go wrong between here and a registry. Every variant names where.
///
/// A failure below HTTP is told by its innermost cause: the layers between say
/// nothing to a person, so they are no `source`.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The HTTP client can't be built, for want of certificates mostly.
    #[error("can't set up the connection: {}", root_cause(cause))]
    Setup {
        /// Why.
        cause: reqwest::Error,
    },
    /// No answer.
    #[error("can't reach the registry at {url}: {}", root_cause(cause))]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        cause: reqwest::Error,
    },
    /// The connection was there and then was not.
    #[error("the connection to {url} broke: {}", root_cause(cause))]
    Broken {
        /// Where.
        url: String,
        /// Why.
        cause: reqwest::Error,
    },
    /// The connection is there, but nothing comes through it.
    #[error("{url} sent nothing for {} seconds", after.as_secs())]
    Stalled {
        /// Where.
        url: String,
        /// How long.
        after: Duration,
    },
    /// A file ended before its end.
    #[error("the transfer from {url} was cut short: {reason}")]
    CutShort {
        /// Where.
        url: String,
        /// How much came.
        reason: String,
    },
    /// The registry says no, and why.
    #[error("{}", told(problem))]
    Problem {
        /// What it says.
        problem: Box<Problem>,
        /// Where.
        url: String,
        /// The server's own estimate of when it will be back.
        retry_after: Option<Duration>,
    },
    /// Something answers, but not as a registry does.
    #[error("{url} answered {status}, but not as a registry does")]
    NotARegistry {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// An identity provider does not log somebody in.
    #[error("the identity provider {url} refuses: {reason}")]
    Provider {
        /// Which one.
        url: String,
        /// Why.
        reason: String,
    },
    /// A document is not what the API promises.
    #[error("the {what} from {url} can't be read: {reason}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// A document is larger than its kind ever is.
    #[error("the {what} from {url} has more than {max} bytes")]
    TooLarge {
        /// Which document.
        what: &'static str,
        /// Where.
        url: String,
        /// The most that is read.
        max: usize,
    },
    /// Bytes are not the ones that were asked for.
    #[error("the registry sent wrong bytes for `{what}`: expected {expected}, received {found}")]
    Corrupt {
        /// Name of the file or document.
        what: String,
        /// The digest asked for.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// A local file changed while it was sent.
    #[error("`{path}` changed while it was uploaded: {reason}")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is different.
        reason: String,
    },
    /// A local file is not the one that the manifest means.
    #[error("`{path}` is damaged or was changed: its digest is not the one that the manifest lists")]
    NotDescribed {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing a local file failed.
    #[error("can't {action} `{path}`: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It failed, and repeating did not help.
    #[error("{source} (after {retries} retries in {:.1} s)", elapsed.as_secs_f64())]
    GaveUp {
        /// The last failure.
        #[source]
        source: Box<RegistryError>,
        /// How often it was repeated.
        retries: u32,
        /// How long that took.
        elapsed: Duration,
    },
}

impl RegistryError {
    /// A failure below HTTP.
    pub(super) fn transport(url: &str, cause: reqwest::Error) -> Self {
        let (url, cause) = (url.to_owned(), cause.without_url());
        if cause.is_connect() { Self::Unreachable { url, cause } } else { Self::Broken { url, cause } }
    }

    pub(super) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action: "read", path: path.into(), source }
    }

    pub(super) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action: "write", path: path.into(), source }
    }

    /// The registry's stable code, when it said one.
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Problem { problem, .. } => Some(problem.code),
            Self::GaveUp { source, .. } => source.code(),
            _ => None,
        }
    }

    /// Whether the same request may succeed a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { cause, .. } => !is_hopeless(cause),
            Self::Broken { .. } | Self::Stalled { .. } | Self::CutShort { .. } => true,
            Self::Problem { problem, .. } => status(problem.status).is_some_and(super::retry::is_transient),
            Self::NotARegistry { status: code, .. } => status(*code).is_some_and(super::retry::is_transient),
            _ => false,
        }
    }

    /// Whether nothing listens at the other end.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Unreachable { cause, .. } => io_kind(cause) == Some(io::ErrorKind::ConnectionRefused),
            Self::GaveUp { source, .. } => source.is_refused(),
            _ => false,
        }
    }

    /// The server's own estimate of when to come back.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What to do next, where that is known.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::GaveUp { source, .. } => source.hints(),
            Self::Setup { .. } => {
                vec!["install the system's CA certificates (package `ca-certificates`)".into()]
            }
            Self::Unreachable { url, .. } if self.is_refused() => vec![
                "nothing listens there: start a registry with `hub-server serve`, or name another one with \
                 `--registry URL` or `hub config set registry URL`"
                    .into(),
                format!("`hub doctor --registry {}` checks the connection", origin(url)),
            ],
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Stalled { .. } | Self::CutShort { .. } => {
                vec![
                    "check the network and the registry's URL, then run the same command again: it continues"
                        .into(),
                ]
            }
            Self::NotARegistry { .. } => {
                vec!["is that the URL of a registry? `hub config get registry` shows the one in use".into()]
            }
            Self::Corrupt { .. } => {
                vec![
                    "nothing was kept; try again, and tell the registry's operator if it happens again"
                        .into(),
                ]
            }
            Self::Changed { .. } | Self::NotDescribed { .. } => {
                vec!["push again when nothing writes into the folder".into()]
            }
            Self::Io { source, .. } if is_full(source) => {
                vec!["free some space, then run the same command again: it continues".into()]
            }
            Self::Problem { problem, .. } => problem_hints(problem),
            Self::Provider { .. } | Self::Malformed { .. } | Self::TooLarge { .. } | Self::Io { .. } => {
                Vec::new()
            }
        }
    }
}

fn problem_hints(problem: &Problem) -> Vec<String> {
    let own = match problem.code {
        ProblemCode::Unauthorized => {
            Some("log in with `hub login`; a token is made by the registry's operator")
        }
        ProblemCode::VersionExists => {
            Some("versions never change: publish the new content with another `--version`")
        }
        ProblemCode::StorageFull => {
            Some("what was uploaded is kept: push again when the operator has made room")
        }
        _ => None,
    };
    problem.hint.clone().or_else(|| own.map(ToOwned::to_owned)).into_iter().collect()
}

fn told(problem: &Problem) -> String {
    let id = problem.request_id.as_ref().map(|id| format!(", request {id}")).unwrap_or_default();
    format!("the registry says: {} ({} {}{id})", problem.detail, problem.status, problem.code.as_str())
}

fn status(code: u16) -> Option<reqwest::StatusCode> {
    reqwest::StatusCode::from_u16(code).ok()
}

fn origin(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization())
}

/// The innermost message: "connection refused" rather than "error sending request".
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    // The system's number says nothing to a person.
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = inner.source();
    }
    None
}

/// Certificates that are wrong stay wrong.
fn is_hopeless(error: &reqwest::Error) -> bool {
    root_cause(error).contains("certificate")
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
