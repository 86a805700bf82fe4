//! A real registry for tests: on a free port, in folders of its own.
//!
//! [`TestHub`] runs in the test's process, [`HubProcess`] as the real program, for
//! tests that kill it. A [`Visitor`] speaks plain HTTP, so that what is tested is
//! the contract and not our own client; a [`SampleAdapter`] is a small adapter with
//! real safetensors.

mod certificate;
mod clock;
mod place;
mod process;
mod sample;
mod visitor;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use hub_schemas::{api::Role, name::Namespace, token::Scope};
use hub_server::{
    App, ServeError, Server,
    admin::{self, Lifetime},
    config::Config,
};
use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

pub use certificate::{Certificate, certificate};
pub use clock::FakeClock;
pub use place::{bucket, flags, flags_of, migrated, shared_flags};
pub use process::{HubProcess, server_binary};
pub use sample::{SampleAdapter, TINY_BERT, safetensors_bytes, tiny_base};
pub use visitor::{Answer, Visitor};

/// A registry in this process.
#[derive(Debug)]
pub struct TestHub {
    address: SocketAddr,
    app: App,
    config: Config,
    folder: Arc<TempDir>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<Result<(), ServeError>>>,
}

impl TestHub {
    /// A registry with the defaults.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A registry with changed settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let mut config = Config::embedded(folder.path());
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        place::choose(&mut config).await;
        change(&mut config);
        Self::open(config, folder).await
    }

    async fn open(config: Config, folder: Arc<TempDir>) -> Self {
        let server = Server::bind(&config).await.expect("the registry opens");
        let (address, app) = (server.address(), server.app().clone());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.run(async move { stopped.await.unwrap_or(()) }));
        Self { address, app, config, folder, stop: Some(stop), serving: Some(serving) }
    }

    /// Stops the registry, finishing requests in flight, and starts it again on the same
    /// data, at another port.
    pub async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// The same with changed settings.
    pub async fn restart_with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.stop().await;
        let mut config = self.config.clone();
        change(&mut config);
        Self::open(config, Arc::clone(&self.folder)).await
    }

    /// Stops the registry, finishing requests in flight.
    pub async fn stop(&mut self) {
        self.stop.take();
        if let Some(serving) = self.serving.take() {
            serving.await.expect("no panic").expect("a clean stop");
        }
    }

    /// Where it listens: `http://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The registry behind it, for operators' verbs.
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// The folder with its database and files.
    pub fn data(&self) -> &Path {
        &self.config.data
    }

    /// Adds a user and lets them in with a token that may do everything.
    pub async fn user(&self, name: &str) -> Visitor {
        admin::add_user(&self.app, &namespace(name)).await.expect("a new user");
        self.visitor(&self.token(name, &Scope::ALL, None).await)
    }

    /// Adds a namespace that belongs to `owner`.
    pub async fn add_namespace(&self, name: &str, owner: &str) {
        admin::add_namespace(&self.app, &namespace(name), &namespace(owner)).await.expect("a new namespace");
    }

    /// Gives `user` a role in a namespace.
    pub async fn add_member(&self, name: &str, user: &str, role: Role) {
        admin::add_member(&self.app, &namespace(name), &namespace(user), role).await.expect("a member");
    }

    /// Lets `user` run the registry.
    pub async fn make_administrator(&self, user: &str) {
        admin::set_administrator(&self.app, &namespace(user), true).await.expect("a user");
    }

    /// A new token's secret. `lifetime` is written as on the command line: `30d`.
    pub async fn token(&self, user: &str, scopes: &[Scope], lifetime: Option<&str>) -> String {
        self.mint(user, scopes, &[], lifetime).await
    }

    /// The secret of a new token that is limited to names.
    pub async fn limited_token(&self, user: &str, scopes: &[Scope], names: &[&str]) -> String {
        self.mint(user, scopes, names, None).await
    }

    async fn mint(&self, user: &str, scopes: &[Scope], names: &[&str], lifetime: Option<&str>) -> String {
        let lifetime = lifetime.map(|text| text.parse::<Lifetime>().expect("a lifetime"));
        let names: Vec<_> = names.iter().map(|name| name.parse().expect("a pattern")).collect();
        let secret = admin::mint(&self.app, &namespace(user), "test", scopes, &names, lifetime).await;
        secret.expect("a token").expose().to_owned()
    }

    /// Somebody with this token.
    pub fn visitor(&self, token: &str) -> Visitor {
        Visitor::new(self.url(), Some(token))
    }

    /// Somebody without a token.
    pub fn anonymous(&self) -> Visitor {
        Visitor::new(self.url(), None)
    }

    /// Removes every file that nothing refers to at this moment.
    pub async fn collect_garbage(&self) {
        admin::collect_garbage(&self.app, Duration::ZERO, false).await.expect("collects");
    }

    /// Makes everything that was published or yanked so many days older.
    pub async fn age_versions(&self, days: i64) {
        let micros = days * 24 * 3600 * 1_000_000;
        self.execute([format!(
            "UPDATE versions SET published_at = published_at - {micros}, yanked_at = yanked_at - {micros}"
        )])
        .await;
    }

    /// Adds so many adapters that search finds as it finds `id`, which was pulled: the rows alone. Their
    /// names end in `-1`, `-2` and so on, and each was pulled as often as the last digit says.
    pub async fn add_copies(&self, id: &str, copies: u32) {
        let (namespace, name) = id.split_once('/').expect("a full name");
        let numbers =
            format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {copies})");
        let of = |columns: &str, table: &str| {
            format!(
                "SELECT a.id || '-' || n.i, {columns} FROM {table} JOIN adapters a ON a.id = t.adapter_id, n
                 WHERE a.namespace = '{namespace}' AND a.name = '{name}'"
            )
        };
        let listing = "version, digest, description, task, subtask, languages, license, base_id, base_digest,
                       architecture, method, method_summary, size, published_at, words";
        let words = if self.is_embedded() { "name, task, body" } else { "document" };
        let prefixed = |columns: &str| {
            columns.split(',').map(|c| format!("t.{}", c.trim())).collect::<Vec<_>>().join(", ")
        };
        let adapters = "namespace, name, visibility, internal_since, pulls, created_at, kind";
        self.execute([
            format!(
                "{numbers} INSERT INTO adapters (id, {adapters}) SELECT a.id || '-' || n.i, a.namespace,
                     a.name || '-' || n.i, a.visibility, a.internal_since, n.i % 10, a.created_at, a.kind
                 FROM adapters a, n WHERE a.namespace = '{namespace}' AND a.name = '{name}'"
            ),
            format!(
                "{numbers} INSERT INTO listings (adapter_id, {listing}) {}",
                of(&prefixed(listing), "listings t")
            ),
            format!(
                "{numbers} INSERT INTO listing_words (adapter_id, {words}) {}",
                of(&prefixed(words), "listing_words t")
            ),
        ])
        .await;
    }

    fn is_embedded(&self) -> bool {
        self.config.database_url.is_none()
    }

    /// Executes statements behind the back of the registry.
    async fn execute(&self, statements: impl IntoIterator<Item = String>) {
        let embedded = format!("sqlite:{}", self.config.data.join("registry.sqlite").display());
        let url = self.config.database_url.clone().unwrap_or(embedded);
        let mut database = sqlx::AnyConnection::connect(&url).await.expect("connects");
        for sql in statements {
            database.execute(sqlx::AssertSqlSafe(sql)).await.expect("executes");
        }
        database.close().await.expect("closes");
    }

    /// Deletes what the rules of namespaces say at this moment.
    pub async fn apply_retention(&self) {
        admin::retire(&self.app, false).await.expect("deletes");
    }

    /// Writes counted pulls down now instead of some seconds later.
    pub async fn flush_pulls(&self) {
        self.app.flush_pulls().await;
    }
}

fn namespace(text: &str) -> Namespace {
    text.parse().expect("a well-formed name")
}
