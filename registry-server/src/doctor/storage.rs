//! The storage: does it do what the registry builds on.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::Check;
use crate::{
    config::Config,
    db::{self, Db},
    storage::{Key, Location, Storage, StorageError},
};

/// More than an identifier has.
const MAX_IDENTITY: u64 = 64;
const TEXT: &[u8] = b"written by hub-server doctor";

/// Writes an object on condition that there is none, twice, reads it whole and in part, and removes it.
pub(super) async fn examine(config: &Config) -> Check {
    const NAME: &str = "storage";
    let shown = shown(config);
    if is_new(config) {
        return Check::ok(NAME, format!("{shown}: not there yet; the server makes the folder"));
    }
    let storage = match open(config) {
        Ok(storage) => storage,
        Err(error) => return Check::fail(NAME, format!("{shown}: {error}"), next_of(config)),
    };
    if config.read_only {
        return match storage.probe_reading().await {
            Ok(()) => Check::ok(
                NAME,
                format!("{shown}: readable; not written to, because the registry is read-only"),
            ),
            Err(error) => Check::fail(NAME, format!("{shown}: {error}"), next_of(config)),
        };
    }
    let key = Key::probe();
    let outcome = exercise(&storage, &key).await;
    let removed = storage.delete(&key).await;
    match (outcome, removed) {
        (Ok(None), Ok(())) => Check::ok(
            NAME,
            format!("{shown}: readable, writable, and keeps the condition of a conditional write"),
        ),
        (Ok(Some(lie)), _) => {
            Check::fail(NAME, format!("{shown}: {lie}"), "use a store that speaks S3 as Amazon's does")
        }
        (Err(error), _) | (_, Err(error)) => Check::fail(NAME, format!("{shown}: {error}"), next_of(config)),
    }
}

/// What the store gets wrong, if anything.
async fn exercise(storage: &Storage, key: &Key) -> Result<Option<&'static str>, StorageError> {
    if !storage.create(key, Bytes::from_static(TEXT)).await? {
        return Ok(Some("an object that nobody wrote is said to be there"));
    }
    if storage.create(key, Bytes::from_static(b"other")).await? {
        return Ok(Some("it overwrites an object although the write was on condition that there is none"));
    }
    let whole: Vec<Bytes> = storage.get(key, None).await?.try_collect().await?;
    let part: Vec<Bytes> = storage.get(key, Some(8..10)).await?.try_collect().await?;
    Ok(match (whole.concat(), part.concat()) {
        (whole, _) if whole != TEXT => Some("it gives back other bytes than were written"),
        (_, part) if part != TEXT[8..10] => {
            Some("it gives back other bytes than the range that was asked for")
        }
        _ => None,
    })
}

/// Whether database and storage belong together.
pub(super) async fn identity(config: &Config, db: Option<&Db>) -> Check {
    const NAME: &str = "identity";
    let not_asked = || Check::ok(NAME, "not compared: the server does it once both are there");
    let Some(db) = db.filter(|_| !is_new(config)) else { return not_asked() };
    let Ok(storage) = open(config) else { return not_asked() };
    // A database without the table is new.
    let ours = db::identity::find(db).await.ok().flatten();
    let key = Key::identity();
    let theirs = match storage.size(&key).await {
        Ok(size) => storage.head(&key, size.min(MAX_IDENTITY)).await.ok(),
        Err(_) => None,
    };
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if theirs == ours.as_bytes() => {
            Check::ok(NAME, format!("database and storage are those of the registry `{ours}`"))
        }
        (ours, Some(theirs)) => {
            let (ours, theirs) =
                (ours.unwrap_or_else(|| "none".to_owned()), String::from_utf8_lossy(&theirs));
            let found = format!("the storage belongs to the registry `{theirs}`, the database to `{ours}`");
            Check::fail(NAME, found, "use the storage of this database, or an empty one")
        }
        (_, None) => Check::ok(NAME, "the storage is nobody's yet; the server claims it"),
    }
}

/// Opening a folder of files makes it; nothing is made here.
fn is_new(config: &Config) -> bool {
    config.storage == Location::Files && !config.data.join("files").exists()
}

fn open(config: &Config) -> Result<Storage, StorageError> {
    Storage::open(&config.storage, &config.data.join("files"))
}

fn shown(config: &Config) -> String {
    match &config.storage {
        Location::Files => format!("files in `{}`", config.data.join("files").display()),
        Location::S3(s3) => format!("the bucket `{}`", s3.bucket),
    }
}

fn next_of(config: &Config) -> &'static str {
    match config.storage {
        Location::Files => "give the folder to the user who runs the server",
        Location::S3(_) => {
            "check the bucket's name, `s3.endpoint`, `s3.region` and the credentials; they must allow reading, writing, \
             listing and removing objects"
        }
    }
}
