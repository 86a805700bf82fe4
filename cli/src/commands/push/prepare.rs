//! The manifest of what is pushed: the folder's own, with what the flags change, or one made here.

use std::{collections::BTreeMap, path::Path};

use hub_client::{
    exchange::BaseSearch,
    files::{Access, write_atomic},
    registry::Digests,
};
use hub_formats::checkpoint::{
    AdapterFolder, CheckpointError, ManifestFacts, assemble_manifest, file_entries, file_entry, file_sizes,
    model_card, read_bounded,
};
use hub_schemas::{
    AdapterId, AdapterName, FilePath, Manifest, Namespace, Version,
    api::WhoAmI,
    layout::ModelClass,
    manifest::{FileEntry, MANIFEST_FILE},
};

use crate::{args::PushArgs, context::Context, failure::UserError};

/// The card, which people read.
const CARD: &str = "README.md";
/// Namespace of adapters that were trained before anybody said whose they are.
const UNCLAIMED: &str = "local";
const MAX_CARD_BYTES: u64 = 4 << 20;

/// The manifest to publish. Writes the card where there is none, unless it is a dry run.
pub(super) fn manifest(
    context: &Context,
    args: &PushArgs,
    account: &WhoAmI,
) -> anyhow::Result<(Manifest, Digests)> {
    // The registry hashes what is sent to it.
    let folder = AdapterFolder::open_unhashed(&args.folder)?;
    match &folder.manifest {
        Some(own) => {
            folder.check_fit(&own.base.shape)?;
            let manifest = adjusted(context, (own, folder.wrapped_class()), args, &account.user)?;
            Ok((manifest, Digests::Stated))
        }
        None => Ok((made(context, args, &folder, &account.user)?, Digests::Computed)),
    }
}

/// Writes the manifest beside the files, so that the folder says what was published.
pub(super) fn write_manifest(folder: &Path, bytes: &[u8]) -> Result<(), UserError> {
    write(&folder.join(MANIFEST_FILE), bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), UserError> {
    write_atomic(path, bytes, Access::Everyone).map_err(|e| {
        UserError::new(format!("can't write `{}`: {e}", path.display())).hint(
            "push writes the manifest and the model card into the folder; copy it to one you may write to",
        )
    })
}

/// The folder's own manifest with what the flags change.
fn adjusted(
    context: &Context,
    (own, class): (&Manifest, Option<ModelClass>),
    args: &PushArgs,
    user: &Namespace,
) -> anyhow::Result<Manifest> {
    let mut manifest = own.clone();
    let unclaimed = manifest.name.namespace.as_str() == UNCLAIMED && user.as_str() != UNCLAIMED;
    if let Some(name) = &args.name {
        manifest.name = name.clone();
    } else if unclaimed {
        manifest.name.namespace = user.clone();
    }
    // Members that were trained together are published under one name.
    for dependency in manifest.dependencies.iter_mut().filter(|d| d.name.namespace.as_str() == UNCLAIMED) {
        dependency.name.namespace = user.clone();
    }
    if let Some(version) = &args.version {
        manifest.version = version.clone();
    }
    if let Some(task) = &args.task {
        manifest.task.name = task.clone();
    }
    if args.subtask.is_some() {
        manifest.task.subtask.clone_from(&args.subtask);
    }
    if !args.labels.is_empty() {
        manifest.task.labels.clone_from(&args.labels);
    }
    if let Some(license) = &args.license {
        manifest.license = license.clone();
    }
    if !args.languages.is_empty() {
        manifest.languages.clone_from(&args.languages);
    }
    if !args.dependencies.is_empty() {
        manifest.dependencies.clone_from(&args.dependencies);
    }
    if let Some(description) = &args.description {
        manifest.description.clone_from(description);
    }
    if let Some(id) = &args.base_id {
        manifest.base.id.clone_from(id);
    }
    manifest.validate()?;
    let found = file_sizes(&args.folder)?;
    check_unchanged(own, &found, &args.folder)?;
    if args.dry_run {
        check_digests(own, &args.folder)?;
    }
    let is_listed = |path: &FilePath| own.files.iter().any(|f| f.path == *path);
    for path in found.keys().filter(|path| path.as_str() != CARD && !is_listed(path)) {
        context.printer.warn(&format!("`{path}` is not listed in {MANIFEST_FILE}: it is left out"));
    }
    // A card that was generated is generated again, so that it names what is published.
    let card = read_card(&args.folder)?;
    let generated = card.as_deref() == Some(model_card(own, class).as_bytes());
    if (card.is_none() || generated) && !args.dry_run {
        write(&args.folder.join(CARD), model_card(&manifest, class).as_bytes())?;
    }
    // Only the card may have changed.
    if let Some((path, _)) = file_sizes(&args.folder)?.into_iter().find(|(path, _)| path.as_str() == CARD) {
        let card = file_entry(&args.folder, path)?;
        match manifest.files.iter_mut().find(|f| f.path == card.path) {
            Some(entry) => *entry = card,
            None => manifest.files.push(card),
        }
    }
    manifest.validate()?;
    Ok(manifest)
}

/// What the manifest lists must still be what lies in the folder. The card may be edited.
///
/// Of files of the right size the registry says whether they are: it hashes what it gets.
fn check_unchanged(own: &Manifest, found: &BTreeMap<FilePath, u64>, folder: &Path) -> Result<(), UserError> {
    for file in described(own) {
        let path = folder.join(file.path.as_str());
        match found.get(&file.path) {
            Some(size) if *size == file.size => {}
            Some(_) => return Err(not_described(&path, folder)),
            None => {
                return Err(UserError::new(format!(
                    "`{}` is missing; {MANIFEST_FILE} lists it",
                    path.display()
                ))
                .hint("put the file back, or train or export the adapter again"));
            }
        }
    }
    Ok(())
}

/// Nobody is sent the files of a dry run.
fn check_digests(own: &Manifest, folder: &Path) -> anyhow::Result<()> {
    for file in described(own) {
        if file_entry(folder, file.path.clone())?.digest != file.digest {
            return Err(not_described(&folder.join(file.path.as_str()), folder).into());
        }
    }
    Ok(())
}

fn described(own: &Manifest) -> impl Iterator<Item = &FileEntry> {
    own.files.iter().filter(|file| file.path.as_str() != CARD)
}

/// A file that was changed behind the manifest's back.
pub(super) fn not_described(path: &Path, folder: &Path) -> UserError {
    UserError::new(format!(
        "`{}` is damaged or was changed: it is not the file that {MANIFEST_FILE} lists",
        path.display()
    ))
    .hint(format!(
        "train or export the adapter again, or delete `{}` to describe the folder anew",
        folder.join(MANIFEST_FILE).display()
    ))
}

/// A manifest for a folder that has none, from the flags and the backbone.
fn made(
    context: &Context,
    args: &PushArgs,
    folder: &AdapterFolder,
    user: &Namespace,
) -> anyhow::Result<Manifest> {
    let (Some(task), Some(license)) = (&args.task, &args.license) else {
        let missing = match (&args.task, &args.license) {
            (None, None) => "`--task` and `--license`",
            (None, _) => "`--task`",
            _ => "`--license`",
        };
        return Err(UserError::new(format!(
            "`{}` has no {MANIFEST_FILE}, so {missing} must say what it can't",
            args.folder.display()
        ))
        .hint("for example `hub push DIR --base BACKBONE --task sentiment --license Apache-2.0`")
        .into());
    };
    let search = BaseSearch { view: folder.view(), ..context.base_search(args.base.as_deref()) };
    let base = context.locate_base(search, None)?;
    let id = args.base_id.as_deref().or(folder.base_hint.as_deref().filter(|hint| is_model_name(hint)));
    let base = base.folder.model_with_digest(id, base.weights_digest);
    let folder = &folder.on_base(base.architecture, &base.shape)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => AdapterId { namespace: user.clone(), name: folder_name(&args.folder)? },
    };
    let facts = ManifestFacts {
        name,
        version: args.version.clone().unwrap_or(Version::new(1, 0, 0)),
        task: task.clone(),
        subtask: args.subtask.clone(),
        labels: args.labels.clone(),
        languages: args.languages.clone(),
        license: license.clone(),
        description: args.description.clone().unwrap_or_default(),
        metrics: Vec::new(),
        training: None,
        origin: None,
        dependencies: args.dependencies.clone(),
    };
    let mut manifest = assemble_manifest(folder, &base, facts)?;
    if read_card(&args.folder)?.is_none() && !args.dry_run {
        write(&args.folder.join(CARD), model_card(&manifest, folder.wrapped_class()).as_bytes())?;
        manifest.files = file_entries(&args.folder)?;
        manifest.validate()?;
    }
    Ok(manifest)
}

/// PEFT notes where the backbone was loaded from; a path on somebody's disk is no name.
fn is_model_name(hint: &str) -> bool {
    let parts: Vec<_> = hint.split('/').collect();
    parts.len() == 2 && parts.iter().all(|p| !p.is_empty() && !p.starts_with(['.', '~']))
}

pub(super) fn folder_name(folder: &Path) -> Result<AdapterName, UserError> {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = absolute.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    name.parse().map_err(|error| {
        UserError::new(format!("the folder's name can't be the adapter's name: {error}"))
            .hint("name it with `--as NAMESPACE/NAME`")
    })
}

fn read_card(folder: &Path) -> Result<Option<Vec<u8>>, CheckpointError> {
    let path = folder.join(CARD);
    if path.is_file() { read_bounded(&path, MAX_CARD_BYTES).map(Some) } else { Ok(None) }
}
