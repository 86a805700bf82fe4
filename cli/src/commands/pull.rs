//! `hub pull`: an adapter with what it depends on and its base model, or a base model, into the
//! local cache.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use hub_client::{
    cache::Entry,
    exchange::{BaseSearch, Pulled},
};
use hub_schemas::{
    AdapterId, Digest, Reference, Version,
    manifest::{Artifact, ArtifactKind, MANIFEST_FILE},
};
use serde::Serialize;

use crate::{
    args::PullArgs,
    context::Context,
    failure::{Exit, UserError},
    whole::write_folder,
};

/// Longest chain of dependencies; a longer one is a mistake.
const MAX_DEPENDENCIES: usize = 32;

#[derive(Serialize)]
struct Answer {
    name: AdapterId,
    version: Version,
    digest: Digest,
    kind: ArtifactKind,
    folder: PathBuf,
    size: u64,
    fetched: u64,
    dependencies: Vec<Self>,
    /// Its base model, where the registry has it or this machine had it from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Box<Self>>,
}

impl Answer {
    fn new(pulled: &Pulled) -> Self {
        let (entry, manifest) = (&pulled.entry, &pulled.entry.manifest);
        Self {
            name: manifest.name().clone(),
            version: manifest.version().clone(),
            digest: entry.digest,
            kind: manifest.kind(),
            folder: entry.folder.clone(),
            size: manifest.total_size(),
            fetched: pulled.fetched,
            dependencies: Vec::new(),
            base: None,
        }
    }
}

/// Pulls and prints the folder.
pub(crate) fn run(context: &Context, args: &PullArgs) -> anyhow::Result<Exit> {
    let (choice, pulled) = context.fetch(&args.reference, args.base.as_deref(), None)?;
    if choice.cached.is_some() {
        context.printer.done("ready", &format!("`{}` was in the cache", choice.title()));
    }
    let mut answer = Answer::new(&pulled);
    pull_dependencies(context, &pulled.entry, &mut answer.dependencies)?;
    // One that was there already takes no request: `hub run` fetches the base model when it is missing.
    if !args.no_base && choice.cached.is_none() && pulled.entry.manifest.kind().is_adapter() {
        answer.base = pull_base(context, args, &pulled.entry)?.map(Box::new);
    }
    if let Some(target) = &args.to {
        copy_out(&pulled.entry, target)?;
        answer.folder.clone_from(target);
    }
    if context.printer.is_json() {
        context.printer.json(&answer)?;
    } else {
        context.printer.line(&answer.folder.to_string_lossy())?;
    }
    Ok(Exit::Success)
}

/// Fetches the base model of an adapter, unless this machine has it.
fn pull_base(context: &Context, args: &PullArgs, entry: &Entry<Artifact>) -> anyhow::Result<Option<Answer>> {
    let wanted = entry.manifest.base();
    let search = BaseSearch { named: None, ..context.base_search(None) };
    let is_pulled = search.pulled_with(&wanted.weights_digest).is_some();
    // What was named is used, right or wrong: `hub run` says which.
    let is_here = args.base.is_some() || search.find(Some(wanted), &mut context.folder_digests()).is_ok();
    let Some(client) = context.client_unless_offline()?.filter(|_| !is_here && !is_pulled) else {
        return Ok(None);
    };
    let pulled = context.block_on(context.bring_base(&client, wanted))?;
    if pulled.is_none() {
        context.printer.hint(&format!(
            "its base model `{}` is neither on this machine nor in the registry: name its folder with `--base DIR`",
            wanted.id
        ));
    }
    Ok(pulled.as_ref().map(Answer::new))
}

fn pull_dependencies(
    context: &Context,
    entry: &Entry<Artifact>,
    answers: &mut Vec<Answer>,
) -> anyhow::Result<()> {
    let mut seen = HashSet::from([entry.digest]);
    let mut open = entry.manifest.dependencies().to_vec();
    while let Some(dependency) = open.pop() {
        if seen.len() > MAX_DEPENDENCIES {
            return Err(UserError::new(format!(
                "`{}` depends on more than {MAX_DEPENDENCIES} adapters",
                entry.manifest.name()
            ))
            .into());
        }
        let reference = Reference::Adapter { id: dependency.name, version: Some(dependency.version) };
        let (_, pulled) = context.fetch(&reference, None, Some(ArtifactKind::Adapter))?;
        if seen.insert(pulled.entry.digest) {
            answers.push(Answer::new(&pulled));
            open.extend(pulled.entry.manifest.dependencies().to_vec());
        }
    }
    Ok(())
}

/// Copies: what lies in the cache is shared and read-only.
fn copy_out(entry: &Entry<Artifact>, target: &Path) -> anyhow::Result<()> {
    write_folder(target, "--to", |staging| {
        let paths = entry.manifest.files().iter().map(|file| file.path.as_str()).chain([MANIFEST_FILE]);
        for path in paths {
            let to = staging.join(path);
            let copy = || {
                if let Some(folder) = to.parent() {
                    fs::create_dir_all(folder)?;
                }
                let mut from = fs::File::open(entry.folder.join(path))?;
                // Not `fs::copy`: what lies in the cache is read-only, and the copy is not.
                std::io::copy(&mut from, &mut fs::File::create(&to)?).map(drop)
            };
            copy()
                .map_err(|e| UserError::new(format!("can't write `{}`: {e}", target.join(path).display())))?;
        }
        Ok(())
    })
}
