//! `hub compose`: an expression over adapters becomes an artifact of its own.

use std::{collections::BTreeMap, fs, path::Path};

use hub_client::{
    composition::Composition,
    model::fused_sublayers,
    training::{dependencies, recorded},
};
use hub_formats::checkpoint::{
    AdapterFolder, AdapterToWrite, BaseFolder, CheckpointError, FusionFolder, MEMBERS_FILE, ManifestFacts,
    SlotData, assemble_manifest, model_card, note_members, write_adapter,
};
use hub_schemas::{
    Manifest,
    head::Head,
    layout::Format,
    manifest::{BaseModel, MANIFEST_FILE},
    method::{ComposedFusion, CompositionConfig, Method},
};
use serde_json::json;

use crate::{
    args::compose::ComposeArgs,
    commands::train::local_name,
    context::Context,
    failure::{Exit, UserError},
    whole::write_folder,
};

/// Task of a composition whose members state none.
const ANY_TASK: &str = "composition";

/// Runs `hub compose`.
pub(crate) fn run(context: &Context, args: &ComposeArgs) -> anyhow::Result<Exit> {
    let composition: Composition = args.expression.parse()?;
    let members = members(context, args, &composition)?;
    let wanted = members.iter().find_map(|(_, folder)| Some(&folder.manifest.as_ref()?.base));
    let found = context.find_base(wanted, args.base.as_deref(), false)?;
    let view = members.first().map(|(_, folder)| folder.view()).unwrap_or_default();
    let base = BaseFolder::open_as(&found.folder, view)?.model(wanted.map(|base| base.id.as_str()))?;
    for (_, folder) in &members {
        let stated = folder.manifest.as_ref().map(|manifest| &manifest.base);
        context.find_base(stated, Some(&found.folder), false)?;
        folder.check_fit(&base.shape)?;
    }
    let (config, slots) = configure(args, &composition, &members, &base)?;
    let manifest = write(args, &config, &slots, &members, &base)?;
    let digest = manifest.digest()?;
    let folder = args.output.display();
    context.printer.done("composed", &format!("`{}` in `{folder}`", config.expression));
    if context.printer.is_json() {
        context.printer.json(&json!({
            "folder": folder.to_string(),
            "name": manifest.name,
            "version": manifest.version,
            "digest": digest,
            "expression": config.expression,
            "members": config.members,
            "dependencies": manifest.dependencies,
        }))?;
    } else {
        context.printer.line(&format!("{folder} {digest}"))?;
    }
    Ok(Exit::Success)
}

/// The adapters that the expression names, in its order.
fn members(
    context: &Context,
    args: &ComposeArgs,
    composition: &Composition,
) -> anyhow::Result<Vec<(String, AdapterFolder)>> {
    let mut given: BTreeMap<String, AdapterFolder> = BTreeMap::new();
    for named in &args.adapters {
        let found = context.find_adapter(&named.folder.to_string_lossy(), args.base.as_deref())?;
        let folder = AdapterFolder::open(&found.folder)?;
        if folder.composition().is_some() {
            return Err(UserError::new(format!("`{}` is a composition itself", found.title))
                .hint("name its members in the expression; `hub compose --fusion` takes its fusion")
                .into());
        }
        let name = named.name.clone().unwrap_or_else(|| folder.name.clone());
        if given.insert(name.clone(), folder).is_some() {
            return Err(UserError::new(format!("two adapters are called `{name}`")).into());
        }
    }
    let mut members: Vec<(String, AdapterFolder)> = Vec::new();
    for name in composition.names() {
        if members.iter().any(|(known, _)| known == name) {
            continue;
        }
        let Some(folder) = given.remove(name) else {
            return Err(UserError::new(format!("the expression names `{name}`, which is not given"))
                .hint(format!("pass it as `--adapter {name}=DIR`"))
                .into());
        };
        members.push((name.to_owned(), folder));
    }
    match given.keys().next() {
        None => Ok(members),
        Some(unused) => {
            Err(UserError::new(format!("the expression does not name the adapter `{unused}`")).into())
        }
    }
}

/// What the composition computes, and the tensors that it brings.
fn configure(
    args: &ComposeArgs,
    composition: &Composition,
    members: &[(String, AdapterFolder)],
    base: &BaseModel,
) -> anyhow::Result<(CompositionConfig, BTreeMap<String, SlotData>)> {
    let expression = composition.to_string();
    let mut config = CompositionConfig { expression, members: recorded(members)?, fusion: None };
    let fusions = composition.fusions();
    let (name, dir) = match (fusions.as_slice(), &args.fusion) {
        ([], None) => return Ok((config, BTreeMap::new())),
        ([], Some(_)) => return Err(UserError::new("`--fusion` is for an expression with a `Fuse`").into()),
        ([name], Some(dir)) => (name, dir),
        ([name], None) => {
            return Err(UserError::new(format!("the fusion `{name}` has no weights"))
                .hint("train it with `hub train --fuse`, and pass its folder with `--fusion`")
                .into());
        }
        _ => return Err(UserError::new("a saved composition holds one `Fuse` at most").into()),
    };
    let folder = FusionFolder::open(dir)?;
    if folder.name != *name {
        let reason =
            format!("`{}` holds the fusion `{}`, the expression names `{name}`", dir.display(), folder.name);
        return Err(UserError::new(reason).into());
    }
    let is_fused = |(member, _): &&(String, AdapterFolder)| {
        folder.name.split(',').any(|fused| fused == member) || !folder.name.contains(',')
    };
    let fused: Vec<_> = members.iter().filter(is_fused).map(|(name, f)| (name.clone(), f)).collect();
    let sublayers = fused_sublayers(&fused, &base.shape)?;
    let fusion = ComposedFusion { name: name.clone(), sublayers, config: folder.config.clone() };
    let slots = folder.read_slots(&fusion.places(&base.shape), &base.shape)?;
    config.fusion = Some(fusion);
    Ok((config, slots))
}

fn write(
    args: &ComposeArgs,
    config: &CompositionConfig,
    slots: &BTreeMap<String, SlotData>,
    members: &[(String, AdapterFolder)],
    base: &BaseModel,
) -> anyhow::Result<Manifest> {
    let last = members.last().and_then(|(_, folder)| folder.manifest.as_ref());
    let mut slots = slots.clone();
    let head = own_head(args.fusion.as_deref(), base, &mut slots)?;
    let task = match (&args.task, last) {
        (Some(task), _) => task.clone(),
        (None, Some(manifest)) => manifest.task.name.clone(),
        (None, None) => ANY_TASK.parse()?,
    };
    let name = match &args.name {
        Some(name) => name.clone(),
        None => local_name(&args.output)?,
    };
    let names: Vec<String> = members.iter().map(|(name, _)| format!("`{name}`")).collect();
    let described = || format!("{} on {}, of {}.", config.expression, base.id, names.join(", "));
    let method = Method::Composition(config.clone());
    let tensor_name = config.fusion.as_ref().map_or("composition", |fusion| fusion.name.as_str());
    let mut written = None;
    write_folder(&args.output, "--output", |staging| {
        let (head, labels) =
            head.as_ref().map_or((None, &[][..]), |(head, labels)| (Some(head), labels.as_slice()));
        let format = Format::Adapters;
        let to_write = AdapterToWrite {
            format,
            method: &method,
            head,
            class: None,
            labels,
            name: tensor_name,
            base,
            slots: &slots,
        };
        write_adapter(staging, &to_write)?;
        let facts = ManifestFacts {
            name: name.clone(),
            version: args.version.clone(),
            task: task.clone(),
            subtask: None,
            labels: labels.to_vec(),
            languages: Vec::new(),
            license: args.license.clone(),
            description: args.description.clone().unwrap_or_else(described),
            metrics: Vec::new(),
            training: None,
            dependencies: dependencies(members)?,
            origin: None,
        };
        let folder = AdapterFolder::of_composition(staging, config, base.architecture)?;
        // A manifest lists at least one file, and the card shows what the manifest says.
        put(&staging.join("README.md"), b"")?;
        let draft = assemble_manifest(&folder, base, facts.clone())?;
        put(&staging.join("README.md"), model_card(&draft, folder.wrapped_class()).as_bytes())?;
        let manifest = assemble_manifest(&folder, base, facts)?;
        let places: Vec<_> =
            members.iter().map(|(name, folder)| (name.clone(), folder.path.clone())).collect();
        put(&staging.join(MEMBERS_FILE), note_members(&places).as_bytes())?;
        put(&staging.join(MANIFEST_FILE), &manifest.to_canonical_bytes()?)?;
        written = Some(manifest);
        Ok(())
    })?;
    written.ok_or_else(|| UserError::new("nothing was written").into())
}

/// The head that a trained fusion brings, with its labels and its tensors among `slots`.
fn own_head(
    fusion: Option<&Path>,
    base: &BaseModel,
    slots: &mut BTreeMap<String, SlotData>,
) -> Result<Option<(Head, Vec<String>)>, CheckpointError> {
    let Some(dir) = fusion else { return Ok(None) };
    let Ok(folder) = AdapterFolder::open(dir) else { return Ok(None) };
    let Some(head) = folder.head.clone() else { return Ok(None) };
    slots.extend(folder.read_slots(&base.shape)?);
    Ok(Some((head, folder.labels)))
}

fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes)
        .map_err(|e| UserError::new(format!("can't write `{}`: {e}", path.display())).into())
}
