//! Where each kind of object lies.

use hub_schemas::digest::Digest;
use object_store::path::Path;

/// Folder of the manifests.
const MANIFESTS: &str = "manifests";

/// The key of an object. Every part of it is made of hexadecimal digits or ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(Path);

impl Key {
    /// A finished file. The upload that brought it is part of the key: whoever uploads
    /// the same bytes while the garbage collector removes them writes another object.
    pub(crate) fn blob(digest: &Digest, upload: &str) -> Self {
        Self(Path::from(format!("{}/{upload}", shelf("blobs", digest))))
    }

    /// A finished file as version 0.1.0 of the server named it.
    pub(crate) fn first_blob(digest: &Digest) -> Self {
        Self(Path::from(shelf("blobs", digest)))
    }

    /// A manifest, so that a registry can be rebuilt from its storage alone.
    pub(crate) fn manifest(digest: &Digest) -> Self {
        Self(Path::from(shelf(MANIFESTS, digest)))
    }

    /// Every finished file.
    pub(crate) fn blobs() -> Self {
        Self(Path::from("blobs"))
    }

    /// Every manifest.
    pub(crate) fn manifests() -> Self {
        Self(Path::from(MANIFESTS))
    }

    /// The digest of the file or manifest under this key.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let hex = self.0.parts().nth(3)?;
        format!("sha256:{}", hex.as_ref()).parse().ok()
    }

    /// Every finished file, and every part of an unfinished one.
    pub(crate) fn of_uploads() -> [Self; 2] {
        [Self(Path::from("blobs")), Self(Path::from("uploads"))]
    }

    /// The upload that brought this object.
    pub(crate) fn upload_of(&self) -> Option<String> {
        let mut parts = self.0.parts();
        let upload = match parts.next()?.as_ref() {
            "blobs" => parts.nth(3),
            "uploads" => parts.next(),
            _ => None,
        };
        upload.map(|part| part.as_ref().to_owned())
    }

    /// Everything of one upload.
    pub(crate) fn upload(upload: &str) -> Self {
        Self(Path::from(format!("uploads/{upload}")))
    }

    /// A part of an upload. Two requests that send the same bytes write two objects;
    /// the database decides which one counts.
    pub(crate) fn part(upload: &str, start: u64, id: &str) -> Self {
        Self(Path::from(format!("uploads/{upload}/{start:020}-{id}")))
    }

    /// Which registry the storage belongs to.
    pub(crate) fn identity() -> Self {
        Self(Path::from("registry-id"))
    }

    /// What readiness checks write.
    pub(crate) fn probe() -> Self {
        Self(Path::from(format!("probe/{}", uuid::Uuid::now_v7().simple())))
    }

    pub(super) const fn of(path: Path) -> Self {
        Self(path)
    }

    pub(super) const fn path(&self) -> &Path {
        &self.0
    }
}

fn shelf(kind: &str, digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{kind}/sha256/{}/{hex}", hex.get(..2).unwrap_or_default())
}

impl From<String> for Key {
    fn from(stored: String) -> Self {
        Self(Path::from(stored))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
