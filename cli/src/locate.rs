//! From what a person typed to folders on this machine: the adapter, and with `bases` the backbone.

use std::path::Path;

use hub_client::{
    cache::Cache,
    exchange::{Choice, FolderDigests, PullError, Pulled, Resolver},
    registry::RegistryClient,
};
use hub_schemas::{Reference, manifest::ArtifactKind};

use crate::{context::Context, failure::UserError, output::describe::tell_choice};

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
            Reference::Word(_) => self.base_in_use(client, base).await?,
            _ => None,
        };
        let choice = Resolver { client, cache, base }.resolve(reference).await?;
        tell_choice(&self.printer, &choice);
        Ok(choice)
    }

    /// Brings the version that `reference` means into the local store, of the kind that is wanted.
    pub(crate) fn fetch(
        &self,
        reference: &Reference,
        base: Option<&Path>,
        wanted: Option<ArtifactKind>,
    ) -> anyhow::Result<(Choice, Pulled)> {
        let (client, cache) = (self.client_unless_offline()?, self.cache());
        self.block_on(async {
            let choice = self.choose(client.as_ref(), &cache, reference, base).await?;
            if let Some(entry) = &choice.cached {
                let found = entry.manifest.kind();
                if let Some(wanted) = wanted.filter(|kind| *kind != found) {
                    return Err(PullError::OtherKind { title: choice.title(), found, wanted }.into());
                }
                let pulled =
                    Pulled { reused: entry.manifest.total_size(), entry: (**entry).clone(), fetched: 0 };
                return Ok((choice, pulled));
            }
            let Some(client) = &client else {
                // The resolver only chooses what is cached when it may not ask.
                return Err(UserError::new(format!("`{}` is not in the cache", choice.title())).into());
            };
            let pulled = self.pull_chosen(client, &choice, wanted).await?;
            Ok((choice, pulled))
        })
    }

    /// Digests of backbone folders, remembered in the cache.
    pub(crate) fn folder_digests(&self) -> FolderDigests {
        FolderDigests::open(&self.settings.cache.value)
    }
}

#[cfg(feature = "stitch")]
pub(crate) use stitched::FoundAdapter;

/// What computing commands need besides.
#[cfg(feature = "stitch")]
mod stitched {
    use hub_client::{exchange::BaseError, exchange::looks_like_path};
    use hub_formats::checkpoint::AdapterFolder;
    use hub_schemas::{Manifest, manifest::BaseModel};

    use std::path::PathBuf;

    use super::{ArtifactKind, Context, Path, Reference};

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
            let (_, pulled) = self.fetch(&reference, base, Some(ArtifactKind::Adapter))?;
            let (folder, manifest) = (pulled.entry.folder, pulled.entry.manifest.into_adapter()?);
            let title = format!("{}@{}", manifest.name, manifest.version);
            Ok(FoundAdapter { folder, manifest: Some(manifest), title })
        }

        /// The backbone to use: the one that `--base` names, else the configured
        /// one, else the one among the known folders or at the registry that has the
        /// weights `wanted` asks for. Another backbone than `wanted` is an error, or with `force` a
        /// warning.
        pub(crate) fn find_base(
            &self,
            wanted: Option<&BaseModel>,
            base: Option<&Path>,
            force: bool,
        ) -> anyhow::Result<FoundBase> {
            let mut found = self.locate_base(self.base_search(base), wanted)?;
            // A configured backbone is a default, not a demand: the right one may be known too.
            if !found.is_right && base.is_none() && !force {
                let search = self.base_search(None);
                let elsewhere = hub_client::exchange::BaseSearch { named: None, ..search };
                if let Ok(right) = elsewhere.find(wanted, &mut self.folder_digests()) {
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
