//! Changing one key of the configuration file and leaving the rest as it was, comments included.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::Spanned;

/// Why the file could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    /// Reading or writing failed.
    #[error("can't {action} the configuration file `{path}`: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not TOML.
    #[error("the configuration file `{path}` is not valid TOML: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
}

/// Where a key and its value stand in the text.
struct Place {
    key: Range<usize>,
    value: Range<usize>,
}

/// The text of the configuration file.
pub(crate) struct ConfigFile {
    path: PathBuf,
    text: String,
}

impl ConfigFile {
    /// Reads the file; one that is not there is empty.
    pub(crate) fn open(path: &Path) -> Result<Self, EditError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { path: path.to_owned(), text }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Ok(Self { path: path.to_owned(), text: String::new() })
            }
            Err(source) => Err(EditError::Io { action: "read", path: path.to_owned(), source }),
        }
    }

    /// Writes `key = value` in place of what stands there, or at the end.
    pub(crate) fn set(&mut self, key: &str, value: &toml::Value) -> Result<(), EditError> {
        if let Some(place) = self.find(key)? {
            self.text.replace_range(place.value, &value.to_string());
            return Ok(());
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.text.extend([key, " = ", &value.to_string(), "\n"]);
        Ok(())
    }

    /// Takes `key` out; `false` when it was not there.
    pub(crate) fn unset(&mut self, key: &str) -> Result<bool, EditError> {
        let Some(place) = self.find(key)? else { return Ok(false) };
        let start = self.text[..place.key.start].rfind('\n').map_or(0, |i| i + 1);
        let behind = place.value.end;
        let end = self.text[behind..].find('\n').map_or(self.text.len(), |i| behind + i + 1);
        self.text.replace_range(start..end, "");
        Ok(true)
    }

    /// Writes the file.
    pub(crate) fn save(&self) -> Result<(), EditError> {
        hub_client::files::write_atomic(&self.path, self.text.as_bytes(), hub_client::files::Access::Everyone)
            .map_err(|source| EditError::Io { action: "write", path: self.path.clone(), source })
    }

    fn find(&self, key: &str) -> Result<Option<Place>, EditError> {
        type Entries = BTreeMap<Spanned<String>, Spanned<toml::Value>>;
        let entries: Entries = toml::from_str(&self.text)
            .map_err(|e| EditError::Syntax { path: self.path.clone(), reason: e.message().to_owned() })?;
        let found = entries.into_iter().find(|(name, _)| name.get_ref() == key);
        Ok(found.map(|(name, value)| Place { key: name.span(), value: value.span() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_changes_and_comments_stay() {
        let text =
            "# our registry\nregistry = \"http://a\" # inside\nbackbones = [\n  \"/x\",\n]\noffline = true";
        let mut file = ConfigFile { path: "config.toml".into(), text: text.into() };
        file.set("registry", &"http://b".into()).expect("sets");
        file.set("color", &"never".into()).expect("sets");
        assert!(file.unset("backbones").expect("unsets"));
        assert!(!file.unset("base").expect("unsets"));
        assert_eq!(
            file.text,
            "# our registry\nregistry = \"http://b\" # inside\noffline = true\ncolor = \"never\"\n"
        );
    }
}
