//! From what a person typed to folders on this machine: the adapter, and the backbone it belongs to.

use std::path::{Path, PathBuf};

use hub_client::{
    architectures::View,
    cache::Cache,
    exchange::{BaseSearch, Choice, FolderDigests, Pulled, Resolver, pull},
    registry::RegistryClient,
};
use hub_schemas::{Digest, Reference};

use crate::{
    context::Context,
    env,
    failure::UserError,
    output::{describe::tell_choice, units},
};

impl Context {
    /// Chooses the version that `reference` means and says why. The local store is
    /// enough for one that is named exactly.
    pub(crate) async fn choose(
        &self,
        client: Option<&RegistryClient>,
        cache: &Cache,
        reference: &Reference,
        base: Option<&Path>,
    ) -> anyhow::Result<Choice> {
        let base = match reference {
            Reference::Word(_) => self.base_in_use(base)?,
            _ => None,
        };
        let choice = Resolver { client, cache, base }.resolve(reference).await?;
        tell_choice(&self.printer, &choice);
        Ok(choice)
    }

    /// Brings the version that `reference` means into the local store.
    pub(crate) fn fetch(
        &self,
        reference: &Reference,
        base: Option<&Path>,
    ) -> anyhow::Result<(Choice, Pulled)> {
        let (client, cache) = (self.client_unless_offline()?, self.cache());
        self.block_on(async {
            let choice = self.choose(client.as_ref(), &cache, reference, base).await?;
            if let Some(entry) = &choice.cached {
                let pulled =
                    Pulled { reused: entry.manifest.total_size(), entry: (**entry).clone(), fetched: 0 };
                return Ok((choice, pulled));
            }
            let Some(client) = &client else {
                // The resolver only chooses what is cached when it may not ask.
                return Err(UserError::new(format!("`{}` is not in the cache", choice.title())).into());
            };
            let started = std::time::Instant::now();
            self.printer.status(&format!("pulling `{}` from {}", choice.title(), self.registry_name()));
            let pulled = pull(client, &cache, &choice).await?;
            let manifest = &pulled.entry.manifest;
            let name = choice.name.as_ref().map_or(&manifest.name, |(id, _)| id);
            let what = format!("{name}@{}", manifest.version);
            let (fetched, time) = (units::bytes(pulled.fetched), units::duration(started.elapsed()));
            self.printer.done("pulled", &format!("`{what}` ({fetched} in {time})"));
            Ok((choice, pulled))
        })
    }

    /// Digest of the backbone in use, when one is named by flag, environment or configuration.
    pub(crate) fn base_in_use(&self, base: Option<&Path>) -> anyhow::Result<Option<Digest>> {
        let search = self.base_search(base);
        if search.named.is_none() {
            return Ok(None);
        }
        let found = search.find(None, &mut self.folder_digests())?;
        Ok(Some(found.weights_digest))
    }

    /// Where backbones are looked for.
    pub(crate) fn base_search(&self, base: Option<&Path>) -> BaseSearch {
        let configured = || self.settings.base.as_ref().map(|base| base.value.clone());
        BaseSearch {
            named: base.map(Path::to_owned).or_else(configured),
            folders: self.settings.backbones.value.clone(),
            hugging_face: hugging_face_cache(),
            view: View::default(),
        }
    }

    /// Digests of backbone folders, remembered in the cache.
    pub(crate) fn folder_digests(&self) -> FolderDigests {
        FolderDigests::open(&self.settings.cache.value)
    }
}

/// Where `huggingface_hub` keeps models.
fn hugging_face_cache() -> Option<PathBuf> {
    if let Some(folder) = env::get(env::HF_HUB_CACHE) {
        return Some(folder.into());
    }
    if let Some(home) = env::get(env::HF_HOME) {
        return Some(PathBuf::from(home).join("hub"));
    }
    let dirs = directories::BaseDirs::new()?;
    // On every system, as that library does it.
    Some(dirs.home_dir().join(".cache/huggingface/hub"))
}

#[cfg(feature = "stitch")]
pub(crate) use stitched::FoundAdapter;

/// What computing commands need besides.
#[cfg(feature = "stitch")]
mod stitched {
    use hub_client::{checkpoint::AdapterFolder, exchange::BaseError, exchange::looks_like_path};
    use hub_schemas::{Manifest, manifest::BaseModel};

    use super::{Context, Path, PathBuf, Reference};

    /// An adapter's folder on this machine.
    #[derive(Debug, Clone)]
    pub(crate) struct FoundAdapter {
        /// The folder; read it with `AdapterFolder::open`.
        pub(crate) folder: PathBuf,
        /// What it states about itself; a folder that PEFT wrote has none.
        pub(crate) manifest: Option<Manifest>,
        /// How to call it in messages: `ada/sentiment@1.2.0`, or the path.
        pub(crate) title: String,
    }

    /// A backbone's folder on this machine.
    #[derive(Debug, Clone)]
    pub(crate) struct FoundBase {
        /// The folder; read it with `BaseFolder::open`.
        pub(crate) folder: PathBuf,
    }

    impl Context {
        /// The adapter that `text` names: a folder here when there is one, else a
        /// reference, fetched into the cache when it is not there yet. A bare word
        /// is resolved for the backbone in use (`--base`, or the configured one).
        pub(crate) fn find_adapter(&self, text: &str, base: Option<&Path>) -> anyhow::Result<FoundAdapter> {
            if looks_like_path(text) {
                let folder = PathBuf::from(text);
                let manifest = AdapterFolder::open(&folder)?.manifest;
                return Ok(FoundAdapter { folder, manifest, title: text.to_owned() });
            }
            let reference: Reference = text.parse()?;
            let (_, pulled) = self.fetch(&reference, base)?;
            let (folder, manifest) = (pulled.entry.folder, pulled.entry.manifest);
            let title = format!("{}@{}", manifest.name, manifest.version);
            Ok(FoundAdapter { folder, manifest: Some(manifest), title })
        }

        /// The backbone to use: the one that `--base` names, else the configured
        /// one, else the one among the known folders that has the weights `wanted`
        /// asks for. Another backbone than `wanted` is an error, or with `force` a
        /// warning.
        pub(crate) fn find_base(
            &self,
            wanted: Option<&BaseModel>,
            base: Option<&Path>,
            force: bool,
        ) -> anyhow::Result<FoundBase> {
            let mut digests = self.folder_digests();
            let search = self.base_search(base);
            let mut found = search.find(wanted, &mut digests)?;
            // A configured backbone is a default, not a demand: the right one may be known too.
            if !found.is_right && base.is_none() && !force {
                let elsewhere = hub_client::exchange::BaseSearch { named: None, ..search };
                if let Ok(right) = elsewhere.find(wanted, &mut digests) {
                    found = right;
                }
            }
            let folder = found.folder.path().to_owned();
            if let (false, Some(wanted)) = (found.is_right, wanted) {
                let mismatch = BaseError::Mismatch {
                    folder: folder.clone(),
                    found: found.weights_digest,
                    wanted: Box::new(wanted.clone()),
                };
                if !force {
                    return Err(mismatch.into());
                }
                self.printer.warn(&format!("{mismatch}; going on because of `--force`"));
            }
            Ok(FoundBase { folder })
        }
    }
}
