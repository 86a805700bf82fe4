//! The backbone that an adapter belongs to: on this machine, else from the registry.

use std::path::{Path, PathBuf};

use hub_client::{
    exchange::{BaseError, BaseSearch, Choice, FoundBase, How, Pulled, Resolver, pull},
    registry::RegistryClient,
};
use hub_formats::architectures::View;
use hub_schemas::{
    Digest, Reference,
    api::BaseVersion,
    manifest::{ArtifactKind, BaseModel},
};

use crate::{
    context::Context,
    env,
    failure::UserError,
    output::{describe::tell_choice, units},
};

impl Context {
    /// The backbone to use: the one that `search` names, else the one that has the weights `wanted`
    /// asks for; fetched where the registry has it and this machine does not.
    pub(crate) fn locate_base(
        &self,
        search: BaseSearch,
        wanted: Option<&BaseModel>,
    ) -> anyhow::Result<FoundBase> {
        let error = match search.find(wanted, &mut self.folder_digests()) {
            Err(error @ (BaseError::Unknown { .. } | BaseError::NotFound { .. })) => error,
            found => return Ok(found?),
        };
        let Some(client) = self.client_unless_offline()? else { return Err(error.into()) };
        let pulled = self.block_on(self.bring_missing_base(&client, &error))?;
        self.found_after(search, wanted, pulled, error)
    }

    /// Digest of the backbone in use, when one is named by flag, environment or configuration.
    pub(crate) async fn base_in_use(
        &self,
        client: Option<&RegistryClient>,
        base: Option<&Path>,
    ) -> anyhow::Result<Option<Digest>> {
        let search = self.base_search(base);
        if search.named.is_none() {
            return Ok(None);
        }
        let found = match (search.find(None, &mut self.folder_digests()), client) {
            (Err(error @ BaseError::Unknown { .. }), Some(client)) => {
                let pulled = self.bring_missing_base(client, &error).await?;
                self.found_after(search, None, pulled, error)?
            }
            (found, _) => found?,
        };
        Ok(Some(found.weights_digest))
    }

    fn found_after(
        &self,
        search: BaseSearch,
        wanted: Option<&BaseModel>,
        pulled: Option<PathBuf>,
        error: BaseError,
    ) -> anyhow::Result<FoundBase> {
        let Some(folder) = pulled else { return Err(error.into()) };
        let search = BaseSearch { named: Some(folder), ..search };
        Ok(search.find(wanted, &mut self.folder_digests())?)
    }

    /// Fetches what a search did not find, where the registry has it.
    async fn bring_missing_base(
        &self,
        client: &RegistryClient,
        missing: &BaseError,
    ) -> anyhow::Result<Option<PathBuf>> {
        match missing {
            BaseError::Unknown { name } => {
                let Ok(reference @ Reference::Adapter { .. }) = name.parse() else { return Ok(None) };
                let cache = self.cache();
                let choice =
                    Resolver { client: Some(client), cache: &cache, base: None }.resolve(&reference).await?;
                tell_choice(&self.printer, &choice);
                let pulled = self.pull_chosen(client, &choice, Some(ArtifactKind::Base)).await?;
                Ok(Some(pulled.entry.folder))
            }
            BaseError::NotFound { wanted, .. } => {
                Ok(self.bring_base(client, wanted).await?.map(|pulled| pulled.entry.folder))
            }
            _ => Ok(None),
        }
    }

    /// Fetches the base model with the weights of `wanted`; `None` where the registry has none.
    pub(crate) async fn bring_base(
        &self,
        client: &RegistryClient,
        wanted: &BaseModel,
    ) -> anyhow::Result<Option<Pulled>> {
        let mut found = client.bases(&wanted.weights_digest).await?.versions;
        if found.is_empty() {
            return Ok(None);
        }
        let BaseVersion { name, published_as, version, digest, .. } = found.swap_remove(0);
        let choice = Choice {
            name: Some((name, version)),
            published_as,
            digest,
            cached: None,
            how: How::Exact,
            yanked: None,
        };
        let pulled = self.pull_chosen(client, &choice, Some(ArtifactKind::Base)).await?;
        let entry = &pulled.entry;
        if entry.manifest.base().weights_digest != wanted.weights_digest {
            let found = entry.manifest.base().weights_digest;
            return Err(UserError::new(format!(
                "the registry gave `{}` for the weights {}, but its weights are {found}",
                choice.title(),
                wanted.weights_digest
            ))
            .hint("tell whoever runs the registry, or name the backbone's folder with `--base DIR`")
            .into());
        }
        Ok(Some(pulled))
    }

    /// Fetches a version of the kind that is wanted, and says so.
    pub(crate) async fn pull_chosen(
        &self,
        client: &RegistryClient,
        choice: &Choice,
        wanted: Option<ArtifactKind>,
    ) -> anyhow::Result<Pulled> {
        let started = std::time::Instant::now();
        self.printer.status(&format!("pulling `{}` from {}", choice.title(), self.registry_name()));
        let pulled = pull(client, &self.cache(), choice, wanted).await?;
        let manifest = &pulled.entry.manifest;
        let name = choice.name.as_ref().map_or(manifest.name(), |(id, _)| id);
        let what = format!("{name}@{}", manifest.version());
        let (fetched, time) = (units::bytes(pulled.fetched), units::duration(started.elapsed()));
        self.printer.done("pulled", &format!("`{what}` ({fetched} in {time})"));
        Ok(pulled)
    }

    /// Where backbones are looked for.
    pub(crate) fn base_search(&self, base: Option<&Path>) -> BaseSearch {
        let configured = || self.settings.base.as_ref().map(|base| base.value.clone());
        BaseSearch {
            named: base.map(Path::to_owned).or_else(configured),
            folders: self.settings.backbones.value.clone(),
            store: Some(self.cache()),
            hugging_face: hugging_face_cache(),
            view: View::default(),
        }
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
