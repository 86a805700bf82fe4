//! Paths of files inside an adapter: relative, portable, and unable to leave their folder.

use std::str::FromStr;

use crate::parsed::parsed_string;

/// Longest path, in bytes.
pub const MAX_PATH_LEN: usize = 160;
/// Deepest nesting, in parts.
pub const MAX_PATH_DEPTH: usize = 4;

/// Why a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file path {path:?} is refused: {reason}")]
pub struct PathError {
    /// The path as given, shortened.
    pub path: String,
    /// The rule it breaks.
    pub reason: &'static str,
}

/// A relative path with `/` between its parts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(String);

impl FilePath {
    /// The part after the last dot of the last part, in lower case.
    pub fn extension(&self) -> Option<String> {
        let file = self.0.rsplit('/').next()?;
        file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase())
    }
}

/// Device names that Windows gives a meaning wherever they stand.
fn is_windows_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

fn broken_rule(path: &str) -> Option<&'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+' | b',' | b'/');
    let parts: Vec<_> = path.split('/').collect();
    match () {
        () if path.is_empty() => Some("it is empty"),
        () if path.len() > MAX_PATH_LEN => Some("it is longer than 160 bytes"),
        () if !path.bytes().all(allowed) => {
            Some("it has a character other than letters, digits and `. - _ + , /`")
        }
        () if parts.len() > MAX_PATH_DEPTH => Some("it is nested deeper than 4 parts"),
        () if parts.contains(&"") => Some("it has an empty part, or starts or ends with `/`"),
        () if parts.iter().any(|p| p.starts_with('.')) => Some("a part starts with a dot"),
        () if parts.iter().any(|p| p.ends_with('.')) => Some("a part ends with a dot"),
        () if parts.iter().any(|p| is_windows_device(p)) => Some("a part is a device name on Windows"),
        () => None,
    }
}

impl FromStr for FilePath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(reason) => Err(PathError { path: text.chars().take(MAX_PATH_LEN).collect(), reason }),
        }
    }
}

parsed_string!(
    FilePath,
    PathError,
    description = "Relative path of a file inside an adapter",
    example = "adapter.safetensors"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_parse() {
        for text in ["README.md", "adapter_model.safetensors", "tokenizer/vocab.txt", "a,b/x.json"] {
            assert!(text.parse::<FilePath>().is_ok(), "{text}");
        }
    }

    #[test]
    fn path_tricks_are_refused() {
        let tricks = [
            "",
            "/etc/passwd",
            "../up",
            "a/../b",
            "a//b",
            "a/",
            "a\\b",
            "C:/x",
            ".ssh/id",
            "a\0b",
            "a\nb",
            "nul.txt",
            "COM1",
            "a/b/c/d/e",
            "x.",
            "ünïcode",
        ];
        for text in tricks {
            assert!(text.parse::<FilePath>().is_err(), "{text:?}");
        }
    }
}
