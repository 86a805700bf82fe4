//! How a command ends, and what an error means for the exit code.
//!
//! Libraries return their own error enums; a command passes them on with `?`.
//! Here they are told apart: what the person can fix ends with 1 and hints,
//! anything else is unexpected and ends with 2.

use std::{error::Error, fmt};

/// How `hub` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Success,
    /// Not done; the person can fix it.
    Failure,
    /// A wrong command line, or something unexpected.
    Usage,
    /// Stopped by Ctrl-C, as shells expect it: 128 + SIGINT.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Ctrl-C while something could be stopped cleanly.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// An error that the person in front of the terminal can fix, with what to do next.
#[derive(Debug)]
pub(crate) struct UserError {
    message: String,
    hints: Vec<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl UserError {
    /// An error with this message; see STYLE.md for how it should sound.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), source: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the error behind it.
    #[must_use]
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for UserError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// What an error means: how to end, and what to tell besides the message.
pub(crate) struct Verdict {
    /// How to end.
    pub(crate) exit: Exit,
    /// What to do next.
    pub(crate) hints: Vec<String>,
}

/// The error types that a person can fix: `user!(error, Type, |e| hints)`.
macro_rules! look_for {
    ($error:expr, $($type:ty => $hints:expr),+ $(,)?) => {
        $(if let Some(found) = $error.downcast_ref::<$type>() {
            let hints: fn(&$type) -> Vec<String> = $hints;
            return Some(hints(found));
        })+
    };
}

fn known(error: &(dyn Error + 'static)) -> Option<Vec<String>> {
    look_for!(error,
        UserError => |e| e.hints.clone(),
        crate::settings::ConfigError => |e| e.hints(),
        crate::settings::EditError => |_| Vec::new(),
        crate::settings::UnknownKey => |e| e.hints(),
        hub_client::bundle::BundleError => |e| e.hints(),
        hub_client::cache::CacheError => |e| e.hint().into_iter().collect(),
        hub_formats::checkpoint::CheckpointError => |e| e.hint().into_iter().collect(),
        hub_client::exchange::BaseError => |e| e.hints(),
        hub_client::exchange::PullError => |e| e.hints(),
        hub_client::exchange::ResolveError => |e| e.hints(),
        hub_client::registry::RegistryError => |e| e.hints(),
        hub_client::registry::StoreError => |_| vec!["delete the file and log in again with `hub login`".into()],
        hub_schemas::manifest::ManifestError => |_| Vec::new(),
        hub_schemas::name::NameError => |_| Vec::new(),
        hub_schemas::reference::ReferenceError => |_| Vec::new(),
    );
    #[cfg(feature = "stitch")]
    if let Some(hints) = crate::commands::numeric_error(error) {
        return Some(hints);
    }
    None
}

/// Looks through the chain for errors that are known; the first that has hints gives them.
pub(crate) fn judge(error: &anyhow::Error) -> Verdict {
    if error.is::<Interrupted>() {
        return Verdict { exit: Exit::Interrupted, hints: Vec::new() };
    }
    let found: Vec<_> = error.chain().filter_map(known).collect();
    let exit = if found.is_empty() { Exit::Usage } else { Exit::Failure };
    // The outermost error knows best what the person was about to do.
    let hints = found.into_iter().find(|hints| !hints.is_empty()).unwrap_or_default();
    Verdict { exit, hints }
}
