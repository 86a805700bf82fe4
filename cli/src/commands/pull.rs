//! `hub pull`: an adapter, and what it depends on, into the local cache.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use hub_client::{cache::Entry, exchange::Pulled};
use hub_schemas::{AdapterId, Digest, Reference, Version, manifest::MANIFEST_FILE};
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
    folder: PathBuf,
    size: u64,
    fetched: u64,
    dependencies: Vec<Self>,
}

impl Answer {
    fn new(pulled: &Pulled) -> Self {
        let (entry, manifest) = (&pulled.entry, &pulled.entry.manifest);
        Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: entry.digest,
            folder: entry.folder.clone(),
            size: manifest.total_size(),
            fetched: pulled.fetched,
            dependencies: Vec::new(),
        }
    }
}

/// Pulls and prints the folder.
pub(crate) fn run(context: &Context, args: &PullArgs) -> anyhow::Result<Exit> {
    let (choice, pulled) = context.fetch(&args.reference, args.base.as_deref())?;
    if choice.cached.is_some() {
        context.printer.done("ready", &format!("`{}` was in the cache", choice.title()));
    }
    let mut answer = Answer::new(&pulled);
    pull_dependencies(context, &pulled.entry, &mut answer.dependencies)?;
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

fn pull_dependencies(context: &Context, entry: &Entry, answers: &mut Vec<Answer>) -> anyhow::Result<()> {
    let mut seen = HashSet::from([entry.digest]);
    let mut open = entry.manifest.dependencies.clone();
    while let Some(dependency) = open.pop() {
        if seen.len() > MAX_DEPENDENCIES {
            return Err(UserError::new(format!(
                "`{}` depends on more than {MAX_DEPENDENCIES} adapters",
                entry.manifest.name
            ))
            .into());
        }
        let reference = Reference::Adapter { id: dependency.name, version: Some(dependency.version) };
        let (_, pulled) = context.fetch(&reference, None)?;
        if seen.insert(pulled.entry.digest) {
            answers.push(Answer::new(&pulled));
            open.extend(pulled.entry.manifest.dependencies);
        }
    }
    Ok(())
}

/// Copies: what lies in the cache is shared and read-only.
fn copy_out(entry: &Entry, target: &Path) -> anyhow::Result<()> {
    write_folder(target, "--to", |staging| {
        let paths = entry.manifest.files.iter().map(|file| file.path.as_str()).chain([MANIFEST_FILE]);
        for path in paths {
            let to = staging.join(path);
            let copy = || {
                if let Some(folder) = to.parent() {
                    fs::create_dir_all(folder)?;
                }
                fs::write(&to, fs::read(entry.folder.join(path))?)
            };
            copy()
                .map_err(|e| UserError::new(format!("can't write `{}`: {e}", target.join(path).display())))?;
        }
        Ok(())
    })
}
