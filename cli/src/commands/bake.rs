//! `hub bake` and `hub unbake`: adapters inside a backbone's weights, and out again.

use std::path::Path;

use hub_client::merging::{BakeReport, BakedAdapter, Delta, LoraLayers, bake, lora_layers, unbake};
use hub_formats::checkpoint::{AdapterToWrite, BaseFolder, write_publishable};
use hub_schemas::{Manifest, layout::Format, manifest::Semantics, method::Method};
use serde_json::json;

use super::made::{Source, facts, origin, weights};
use crate::{
    args::{
        bake::{BakeArgs, UnbakeArgs},
        made::MadeArgs,
    },
    context::Context,
    failure::{Exit, UserError},
    output::{Fields, units},
    whole::write_folder,
};

/// Bakes, and writes the head where it is wanted.
pub(crate) fn run(context: &Context, args: &BakeArgs) -> anyhow::Result<Exit> {
    let sources =
        args.adapters.iter().map(|text| Source::open(context.find_adapter(text, args.base.as_deref())?));
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let weights = weights(&args.weights, sources.len(), 1.0)?;
    let headed = headed(args, &sources)?;
    let mut found = None;
    for source in &sources {
        let wanted = source.folder.manifest.as_ref().map(|manifest| &manifest.base);
        let named = args.base.as_deref();
        found = Some(match (found, wanted) {
            (Some(found), None) => found,
            (found, wanted) => {
                let here = context.find_base(wanted, named, args.force)?;
                found.filter(|_| wanted.is_none()).unwrap_or(here)
            }
        });
    }
    let found = found.ok_or_else(|| UserError::new("no adapter is given"))?;
    let view = sources.first().map(|source| source.folder.view()).unwrap_or_default();
    let base = BaseFolder::open_as(&found.folder, view)?;
    let shape = base.config().shape;
    let mut loras: Vec<LoraLayers> = Vec::new();
    let mut baked = Vec::new();
    for (source, weight) in sources.iter().zip(&weights) {
        let folder = &source.folder;
        if folder.semantics().keeps_shared_table {
            return Err(UserError::new(format!(
                "what `{}` holds for the table of words changes nothing in PEFT behind an encoder, and would here",
                source.found.title
            ))
            .hint("train it without `shared` among its modules, or run it beside the base model")
            .into());
        }
        let layers = lora_layers(&folder.method, &folder.read_slots(&shape)?, &folder.path)?;
        loras.push(layers.into_iter().map(|(name, factors)| (name, factors.times(*weight))).collect());
        baked.push(BakedAdapter { name: source.name(), digest: folder.identity(&shape)?, weight: *weight });
    }
    let deltas = Delta::of_loras(loras)?;
    let mut report = None;
    write_folder(&args.output, "--output", |out| {
        report = Some(bake(&base, &deltas, &baked, out)?);
        Ok(())
    })?;
    if let (Some(source), Some(into)) = (headed, &args.head_output) {
        write_head(args, source, into)?;
    }
    if let Some(report) = report {
        tell(context, args, headed, &baked, &report)?;
    }
    Ok(Exit::Success)
}

/// The adapter whose head is to be kept, if one has a head.
fn headed<'a>(args: &BakeArgs, sources: &'a [Source]) -> Result<Option<&'a Source>, UserError> {
    let mut with_head = sources.iter().filter(|source| source.folder.head.is_some());
    let (first, second) = (with_head.next(), with_head.next());
    match (first, second, &args.head_output) {
        (None, _, Some(_)) => {
            Err(UserError::new("no adapter brings a head, so `--head-output` has nothing to write")
                .hint("leave `--head-output` out"))
        }
        (Some(one), Some(two), Some(_)) => Err(UserError::new(format!(
            "`{}` and `{}` both bring a head; one is written",
            one.found.title, two.found.title
        ))
        .hint("merge them first with `hub merge --rule cat`, which is exact and makes one head")),
        _ => Ok(first),
    }
}

/// The head alone, as an adapter for the baked backbone.
fn write_head(args: &BakeArgs, source: &Source, into: &Path) -> anyhow::Result<()> {
    let baked = BaseFolder::open_as(&args.output, source.folder.view())?;
    let base = baked.model(Some(&super::made::folder_name(&args.output)))?;
    let shape = base.shape;
    let mut slots = source.folder.read_slots(&shape)?;
    slots.retain(|name, _| name.starts_with("head."));
    let origin = origin("head", [], vec![source.noted(1.0, &shape)?]);
    let manifests: Vec<&Manifest> = source.folder.manifest.iter().collect();
    let facts = facts(&MadeArgs::plain(), into, &manifests, &source.folder.labels, origin)?;
    let adapter = AdapterToWrite {
        format: Format::Adapters,
        method: &Method::LastLayer,
        head: source.folder.head.as_ref(),
        class: None,
        labels: &source.folder.labels,
        name: facts.name.name.as_str(),
        base: &base,
        slots: &slots,
    };
    // Of what the adapter's weights mean, this is all that concerns a head.
    let drops_segments = source.folder.semantics().drops_segments;
    let semantics = Semantics { drops_segments, ..Semantics::default() };
    write_folder(into, "--head-output", |out| {
        write_publishable(out, &adapter, facts.clone(), &semantics)?;
        Ok(())
    })
}

fn tell(
    context: &Context,
    args: &BakeArgs,
    headed: Option<&Source>,
    baked: &[BakedAdapter],
    report: &BakeReport,
) -> anyhow::Result<()> {
    let (printer, folder) = (&context.printer, args.output.display());
    let count = units::count(baked.len() as u64, "adapter");
    printer.done(
        "baked",
        &format!("{count} into {} in `{folder}`", units::count(report.tensors as u64, "tensor")),
    );
    if let (Some(source), None) = (headed, &args.head_output) {
        printer.warn(&format!(
            "the head of `{}` is not in the backbone; pass `--head-output DIR` to write it as an adapter",
            source.found.title
        ));
    }
    for path in &report.left_out {
        printer.status(&format!("left out `{}`, which holds the weights in another form", path.display()));
    }
    if printer.is_json() {
        printer.json(&json!({
            "folder": args.output,
            "head_folder": args.head_output,
            "adapters": baked,
            "tensors": report.tensors,
            "left_out": report.left_out,
            "weights_digest": BaseFolder::open(&args.output)?.weights_digest()?,
        }))?;
    } else {
        let mut fields = Fields::default();
        fields.add("folder", folder.to_string());
        fields.add("tensors changed", report.tensors.to_string());
        for adapter in baked {
            fields.add(
                "baked in",
                format!("{} x {} ({})", adapter.weight, adapter.name, adapter.digest.short()),
            );
        }
        if let Some(head) = &args.head_output {
            fields.add("head", head.display().to_string());
        }
        printer.fields(&fields)?;
    }
    printer.hint(&format!("take it out again with `hub unbake {folder} -o DIR`"));
    Ok(())
}

/// Takes out what `hub bake` put in.
pub(crate) fn run_unbake(context: &Context, args: &UnbakeArgs) -> anyhow::Result<Exit> {
    let baked = BaseFolder::open(&args.folder)?;
    let mut report = None;
    write_folder(&args.output, "--output", |out| {
        report = Some(unbake(&baked, out)?);
        Ok(())
    })?;
    let Some(report) = report else { return Ok(Exit::Success) };
    let (printer, folder) = (&context.printer, args.output.display());
    let names: Vec<String> = report.adapters.iter().map(|adapter| format!("`{}`", adapter.name)).collect();
    printer.done("unbaked", &format!("{}: `{folder}` has the original bytes", names.join(", ")));
    if printer.is_json() {
        printer.json(&json!({
            "folder": args.output,
            "adapters": report.adapters,
            "tensors": report.tensors,
            "left_out": report.left_out,
        }))?;
    } else {
        printer.line(&args.output.to_string_lossy())?;
    }
    Ok(Exit::Success)
}
