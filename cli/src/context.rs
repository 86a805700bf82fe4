//! What every command gets: printer, settings, and the way to registry and cache.

use std::sync::Arc;

use anyhow::Context as _;
use hub_client::{
    cache::Cache,
    registry::{AuthStore, RegistryClient, Secret, StoreError},
};

use crate::{
    env,
    failure::{Interrupted, UserError},
    interrupt::Interrupts,
    output::{Printer, Transfers},
    settings::{Settings, Source},
};

/// What every command gets.
pub(crate) struct Context {
    /// Where words and data go.
    pub(crate) printer: Printer,
    /// What was asked for, by flag, environment, file or default.
    pub(crate) settings: Settings,
    /// What Ctrl-C does.
    pub(crate) interrupts: Interrupts,
    runtime: tokio::runtime::Runtime,
}

impl Context {
    /// One per process.
    pub(crate) fn new(printer: Printer, settings: Settings) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // Requests wait for the network, and files are written on blocking threads.
            .worker_threads(2)
            .enable_all()
            .build()
            .context("can't start the runtime for requests")?;
        let interrupts = Interrupts::listen(&runtime);
        Ok(Self { printer, settings, interrupts, runtime })
    }

    /// Waits for `future`; Ctrl-C drops it and is an error.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.runtime.block_on(self.interrupts.cancellable(future)).ok_or(Interrupted)?
    }

    /// The local store.
    pub(crate) fn cache(&self) -> Cache {
        Cache::new(&self.settings.cache.value, &self.settings.registry.value)
    }

    /// The registry, or an error when no request may be made.
    pub(crate) fn client(&self) -> anyhow::Result<RegistryClient> {
        if let Some(client) = self.client_unless_offline()? {
            return Ok(client);
        }
        let source = &self.settings.offline.source;
        let hint = match source {
            Source::Flag(flag) => format!("leave out `{flag}`"),
            Source::Env(name) => format!("unset the environment variable `{name}`"),
            _ => "`hub config unset offline` allows requests".to_owned(),
        };
        Err(UserError::new("this needs the registry, and no request is made offline").hint(hint).into())
    }

    /// The registry, when requests may be made.
    pub(crate) fn client_unless_offline(&self) -> anyhow::Result<Option<RegistryClient>> {
        if self.settings.offline.value {
            return Ok(None);
        }
        self.client_with(self.token()?).map(Some)
    }

    /// The registry, asked with this token.
    pub(crate) fn client_with(&self, token: Option<Secret>) -> anyhow::Result<RegistryClient> {
        let reporter = Arc::new(Transfers(self.printer.clone()));
        Ok(RegistryClient::new(self.settings.registry.value.clone(), token, reporter)?)
    }

    /// The token for the registry: the environment's, else the one `hub login` kept.
    pub(crate) fn token(&self) -> Result<Option<Secret>, StoreError> {
        if let Some(token) = env::get(env::TOKEN) {
            return Ok(Some(Secret::new(&token)));
        }
        let store = self.auth_store()?;
        if store.is_exposed() {
            let path = store.path().display();
            self.printer.warn(&format!("others can read the tokens in `{path}`: `chmod 600` it"));
        }
        Ok(store.get(&self.settings.registry.value).map(|stored| stored.token.clone()))
    }

    /// Where tokens are kept.
    pub(crate) fn auth_store(&self) -> Result<AuthStore, StoreError> {
        AuthStore::open(&self.settings.data.value)
    }

    /// The registry's URL as messages show it.
    pub(crate) fn registry_name(&self) -> &str {
        self.settings.registry.value.as_str().trim_end_matches('/')
    }
}
