//! Publishing a backbone: a folder in Hugging Face's layout, or a GGUF file.

use std::path::{Path, PathBuf};

use hub_formats::checkpoint::{AssembledBase, BaseFacts, BaseFolder, assemble_base};
use hub_schemas::{
    AdapterId, Version,
    api::WhoAmI,
    layout::{ADAPTER_CONFIG, HUB_CONFIG},
    manifest::BaseManifest,
};

use super::prepare;
use crate::{args::PushArgs, context::Context, failure::UserError};

/// Whether `path` holds a backbone and no adapter.
pub(super) fn is_base(path: &Path) -> bool {
    let has = |name: &str| path.join(name).exists();
    hub_client::exchange::is_backbone(path) && !has(ADAPTER_CONFIG) && !has(HUB_CONFIG)
}

/// The manifest to publish, and the folder with its files.
pub(super) fn manifest(
    context: &Context,
    args: &PushArgs,
    account: &WhoAmI,
) -> anyhow::Result<(BaseManifest, PathBuf)> {
    refuse_adapter_flags(args)?;
    let Some(license) = args.license.clone() else {
        let shown = args.folder.display();
        return Err(UserError::new(format!(
            "`{shown}` is a base model, and `--license` must say its licence"
        ))
        .hint(format!("for example `hub push {shown} --license Apache-2.0`"))
        .into());
    };
    let name = match &args.name {
        Some(name) => name.clone(),
        None => AdapterId { namespace: account.user.clone(), name: prepare::folder_name(&args.folder)? },
    };
    let folder = BaseFolder::open(&args.folder)?;
    context.printer.status(&format!("hashing the weights in `{}`", args.folder.display()));
    let digest = context.folder_digests().of(&folder)?;
    let model = folder.model_with_digest(args.base_id.as_deref(), digest);
    let facts = BaseFacts {
        name,
        version: args.version.clone().unwrap_or(Version::new(1, 0, 0)),
        license,
        languages: args.languages.clone(),
        description: args.description.clone().unwrap_or_default(),
    };
    let AssembledBase { manifest, folder, left_out } = assemble_base(&folder, model, facts)?;
    if !left_out.is_empty() {
        context.printer.warn(&format!(
            "left out, because nothing here reads it: {}",
            left_out.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ));
    }
    Ok((manifest, folder))
}

/// What says something about an adapter says nothing about its backbone.
fn refuse_adapter_flags(args: &PushArgs) -> Result<(), UserError> {
    let given = [
        ("--task", args.task.is_some()),
        ("--subtask", args.subtask.is_some()),
        ("--label", !args.labels.is_empty()),
        ("--depends", !args.dependencies.is_empty()),
        ("--base", args.base.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => Err(UserError::new(format!(
            "`{}` is a base model; `{flag}` is for adapters",
            args.folder.display()
        ))
        .hint(format!("leave `{flag}` out"))),
    }
}
