//! Where tokens are kept between commands: one file, readable by its owner only.
//!
//! A token belongs to the registry it was given for and is never sent to another.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use url::Url;

use super::Secret;
use crate::files::{Access, write_atomic};

/// Name of the file in the data folder.
const FILE: &str = "credentials.json";

/// Why tokens could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading or writing failed.
    #[error("can't {action} the token file `{path}`: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not what `hub login` writes.
    #[error("the token file `{path}` is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
}

/// A token and whose it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredToken {
    /// Name of the user at that registry.
    pub user: String,
    /// The token.
    pub token: Secret,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    #[serde(default)]
    registries: BTreeMap<String, StoredToken>,
}

/// The token file.
#[derive(Debug)]
pub struct AuthStore {
    path: PathBuf,
    document: Document,
}

impl AuthStore {
    /// Reads the token file in `folder`; one that is not there holds no token.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let document = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                // The parser's message could quote a part of a token: only its place is told.
                .map_err(|e| StoreError::Damaged {
                    path: path.clone(),
                    reason: format!("line {}, column {}", e.line(), e.column()),
                })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Document::default(),
            Err(source) => return Err(StoreError::Io { action: "read", path, source }),
        };
        Ok(Self { path, document })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The token for `registry`.
    pub fn get(&self, registry: &Url) -> Option<&StoredToken> {
        self.document.registries.get(&key(registry))
    }

    /// Keeps a token for `registry`.
    pub fn set(&mut self, registry: &Url, token: StoredToken) -> Result<(), StoreError> {
        self.document.registries.insert(key(registry), token);
        self.save()
    }

    /// Forgets the token for `registry`; `false` when there was none.
    pub fn remove(&mut self, registry: &Url) -> Result<bool, StoreError> {
        let removed = self.document.registries.remove(&key(registry)).is_some();
        if removed {
            self.save()?;
        }
        Ok(removed)
    }

    /// Forgets every token and says how many there were.
    pub fn clear(&mut self) -> Result<usize, StoreError> {
        let count = std::mem::take(&mut self.document.registries).len();
        if count > 0 {
            self.save()?;
        }
        Ok(count)
    }

    /// Whether others than the owner may read the file.
    pub fn is_exposed(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::metadata(&self.path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0)
        }
        #[cfg(not(unix))]
        {
            false
        }
    }

    fn save(&self) -> Result<(), StoreError> {
        let io = |source| StoreError::Io { action: "write", path: self.path.clone(), source };
        let bytes = serde_json::to_vec_pretty(&self.document).map_err(io::Error::from).map_err(io)?;
        write_atomic(&self.path, &bytes, Access::Owner).map_err(io)
    }
}

/// One registry, one key: scheme, host, port and path, without a slash at the end.
fn key(registry: &Url) -> String {
    registry.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().expect(text)
    }

    fn token(text: &str) -> StoredToken {
        StoredToken { user: "ada".into(), token: Secret::new(text) }
    }

    #[test]
    fn each_registry_has_its_own_token_and_a_slash_makes_no_other_registry() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = AuthStore::open(folder.path()).expect("opens");
        store.set(&url("http://a.example"), token("hubt_a")).expect("keeps");
        store.set(&url("http://b.example/hub"), token("hubt_b")).expect("keeps");
        let mut store = AuthStore::open(folder.path()).expect("opens again");
        assert!(!store.is_exposed());
        let found = |store: &AuthStore, at: &str| store.get(&url(at)).map(|t| t.token.expose().to_owned());
        assert_eq!(found(&store, "http://a.example/").as_deref(), Some("hubt_a"));
        assert_eq!(found(&store, "http://b.example/hub/").as_deref(), Some("hubt_b"));
        assert_eq!(found(&store, "http://b.example/"), None);
        assert!(store.remove(&url("http://a.example/")).expect("removes"));
        assert_eq!(store.clear().expect("clears"), 1);
    }

    #[test]
    fn a_damaged_file_is_refused_without_quoting_it() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), "{\"registries\": hubt_secret").expect("writes");
        let message = AuthStore::open(folder.path()).expect_err("damaged").to_string();
        assert!(message.contains("line 1") && !message.contains("hubt_secret"), "{message}");
    }
}
