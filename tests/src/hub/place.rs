//! Which database and storage the registries of tests use.
//!
//! The registry's tests are one suite for every combination: SQLite and local files
//! unless the variables `HUB_TEST_DATABASE=postgres` and `HUB_TEST_STORAGE=s3` say
//! otherwise. One server of each kind serves all tests of a program; each test has
//! a database, and a prefix in the bucket, of its own.

use hub_server::{App, Location, S3Settings, config::Config};
use tokio::sync::OnceCell;

use crate::services::{
    postgres::Postgres,
    seaweedfs::{KEYS, SeaweedFs},
};

/// Sets what the variables say.
pub(super) async fn choose(config: &mut Config) {
    match std::env::var("HUB_TEST_DATABASE").as_deref() {
        Ok("postgres") => config.database_url = Some(migrated().await),
        Ok("sqlite") | Err(_) => {}
        Ok(other) => panic!("HUB_TEST_DATABASE is `{other}`; it can be `sqlite` or `postgres`"),
    }
    match std::env::var("HUB_TEST_STORAGE").as_deref() {
        Ok("s3") => config.storage = bucket(SeaweedFs::shared()),
        Ok("files") | Err(_) => {}
        Ok(other) => panic!("HUB_TEST_STORAGE is `{other}`; it can be `files` or `s3`"),
    }
}

/// The same as flags of `hub-server`, for tests that start it as a program.
pub async fn flags() -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::embedded(folder.path());
    choose(&mut config).await;
    flags_of(config)
}

/// The database and the storage of `config` as flags.
pub fn flags_of(config: Config) -> Vec<String> {
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: Option<String>| flags.extend(value.map(|v| format!("--{name}={v}")));
    flag("database-url", config.database_url);
    if let Location::S3(s3) = config.storage {
        flag("storage-url", Some(format!("s3://{}/{}", s3.bucket, s3.prefix)));
        flag("s3-endpoint", s3.endpoint);
        flag("s3-region", s3.region);
        let (id, secret) = s3.keys.unzip();
        flag("s3-access-key-id", id);
        flag("s3-secret-access-key", secret);
    }
    flags
}

/// The flags of the PostgreSQL database at `url` and a place of its own in a bucket, which many processes can share.
pub fn shared_flags(url: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::embedded(folder.path());
    config.database_url = Some(url.to_owned());
    config.storage = bucket(SeaweedFs::shared());
    flags_of(config)
}

/// The URL of a new database with the schema of this version.
pub async fn migrated() -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let migrate = || async {
        let folder = tempfile::tempdir().expect("a folder");
        let url = Postgres::shared().database(None);
        let mut config = Config::embedded(folder.path());
        config.database_url = Some(url.clone());
        App::migrate(&config).await.expect("migrates");
        url.rsplit('/').next().expect("a name").to_owned()
    };
    Postgres::shared().database(Some(TEMPLATE.get_or_init(migrate).await))
}

/// A place in the bucket of `server` that nobody else uses.
pub fn bucket(server: &SeaweedFs) -> Location {
    let Ok(Location::S3(settings)) = server.location().parse() else { panic!("an S3 location") };
    Location::S3(S3Settings {
        endpoint: Some(server.endpoint()),
        region: Some("us-east-1".to_owned()),
        keys: Some((KEYS.0.to_owned(), KEYS.1.to_owned())),
        ..settings
    })
}
