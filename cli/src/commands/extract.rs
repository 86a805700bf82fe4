//! `hub extract`: an adapter out of a fine-tuned backbone.

use std::collections::BTreeSet;

use hub_client::merging::{
    ExtractOptions, ExtractedHead, Extraction, extract, extract_head, linear_layers, lora_tensors,
};
use hub_formats::{
    architectures::View,
    checkpoint::{AdapterToWrite, BaseFolder, CheckpointError, writable_format, write_publishable},
};
use hub_schemas::{
    Manifest,
    backbone::{Module, Targets},
    head::Pooling,
    layout::Format,
    manifest::{BaseModel, OriginSource, Semantics},
    method::{Method, MethodSpec, ReplaceConfig},
};
use serde_json::{Map, Value, json};

use super::made::{facts, folder_name, origin};
use crate::{
    args::extract::ExtractArgs,
    context::Context,
    failure::{Exit, UserError},
    output::{Fields, units},
    whole::write_folder,
};

/// Extracts, writes and says how much was kept.
pub(crate) fn run(context: &Context, args: &ExtractArgs) -> anyhow::Result<Exit> {
    let found = context.find_base(None, args.base.as_deref(), false)?;
    let both =
        |view| Ok((BaseFolder::open_as(&found.folder, view)?, BaseFolder::open_as(&args.tuned, view)?));
    // With their decoders, where both have one.
    let (base, tuned) = both(View::Whole).or_else(|_: CheckpointError| both(View::Encoder))?;
    let options = ExtractOptions {
        rank: args.rank,
        targets: targets(args, &base, &tuned),
        keep_others: args.keep_others,
    };
    let mut extraction = extract(&base, &tuned, &options)?;
    drop_unchanged(&mut extraction, args)?;
    let head = if args.no_head { None } else { extract_head(&tuned)? };
    let head = head.filter(|head| has_its_pooler(context, head, &base));
    let model = base.model(args.base_id.as_deref())?;
    let manifest = write(args, &model, &tuned, &extraction, head.as_ref())?;
    tell(context, args, &extraction, &manifest)?;
    Ok(Exit::Success)
}

fn targets(args: &ExtractArgs, base: &BaseFolder, tuned: &BaseFolder) -> Targets {
    let is_wanted = |module: &Module| match module {
        Module::Linear { site, .. } => args.targets.is_empty() || args.targets.contains(site),
        _ => true,
    };
    linear_layers(base, tuned).iter().filter(is_wanted).collect()
}

/// A layer that was not tuned needs no update.
fn drop_unchanged(extraction: &mut Extraction, args: &ExtractArgs) -> Result<(), UserError> {
    let changed: BTreeSet<&String> =
        extraction.reports.iter().filter(|report| report.norm() > 0.0).map(|report| &report.layer).collect();
    extraction.layers.retain(|layer, _| changed.contains(layer));
    if extraction.layers.is_empty() {
        let tuned = args.tuned.display();
        return Err(UserError::new(format!(
            "no linear layer that is selected differs between the base model and `{tuned}`"
        ))
        .hint("check that `--base` and `--tuned` name the right folders"));
    }
    Ok(())
}

/// A head that reads a pooler which the base model does not have would compute on nothing.
fn has_its_pooler(context: &Context, head: &ExtractedHead, base: &BaseFolder) -> bool {
    let fits = head.head.pooling() != Some(Pooling::Pooler) || base.tensor("pooler.weight").is_some();
    if !fits {
        context.printer.warn(
            "the fine-tuned head reads a pooler that the base model lacks, so it is left out; train one with `hub train`",
        );
    }
    fits
}

fn write(
    args: &ExtractArgs,
    base: &BaseModel,
    tuned: &BaseFolder,
    extraction: &Extraction,
    head: Option<&ExtractedHead>,
) -> anyhow::Result<Manifest> {
    let written = lora_tensors(&extraction.layers, &base.shape)?;
    let (mut method, mut slots) = (Method::Lora(written.config), written.slots);
    if args.keep_others && !extraction.others.is_empty() {
        let tensors = extraction.others.iter().map(|other| other.name.clone()).collect();
        let copies = ReplaceConfig::modules(tensors);
        for slot in copies.slots(&base.shape) {
            // `layers.0.ffn.norm.replaced.bias` is a copy of `layers.0.ffn.norm.bias`.
            let original = slot.name.replacen(".replaced", "", 1);
            let kept = extraction.others.iter().find(|other| other.name == original);
            slots.extend(kept.and_then(|other| Some((slot.name, other.tensor.clone()?))));
        }
        method = method.beside(copies);
    }
    slots.extend(head.iter().flat_map(|head| head.slots.clone()));
    let source = OriginSource {
        name: folder_name(tuned.path()),
        digest: tuned.weights_digest()?,
        weight: None,
        extra: Map::new(),
    };
    let origin = origin("extract", noted_options(args), vec![source]);
    let labels = head.map(|head| head.labels.clone()).unwrap_or_default();
    let facts = facts(&args.facts, &args.output, &[], &labels, origin)?;
    let mut adapter = AdapterToWrite {
        format: Format::Peft,
        method: &method,
        head: head.map(|head| &head.head),
        class: tuned.model_class().filter(|class| head.is_none() && class.writes()),
        labels: &labels,
        name: facts.name.name.as_str(),
        base,
        slots: &slots,
    };
    adapter.format = writable_format(&adapter)?;
    let mut manifest = None;
    write_folder(&args.output, "--output", |out| {
        manifest = Some(write_publishable(out, &adapter, facts.clone(), &Semantics::default())?);
        Ok(())
    })?;
    manifest.ok_or_else(|| UserError::new("nothing was written").into())
}

fn noted_options(args: &ExtractArgs) -> Vec<(&'static str, Value)> {
    let mut noted = vec![("rank", json!(args.rank))];
    if !args.targets.is_empty() {
        let sites: Vec<String> = args.targets.iter().map(ToString::to_string).collect();
        noted.push(("targets", json!(sites)));
    }
    if args.keep_others {
        noted.push(("keep_others", json!(true)));
    }
    noted
}

/// The share of all squared differences that was kept.
fn retained(extraction: &Extraction) -> f64 {
    let energy = |report: &hub_client::merging::LayerReport| report.norm() * report.norm();
    let all: f64 = extraction.reports.iter().map(energy).sum();
    let kept: f64 = extraction.reports.iter().map(|report| report.retained() * energy(report)).sum();
    if all > 0.0 { kept / all } else { 1.0 }
}

fn tell(
    context: &Context,
    args: &ExtractArgs,
    extraction: &Extraction,
    manifest: &Manifest,
) -> anyhow::Result<()> {
    let (printer, folder) = (&context.printer, args.output.display());
    let digest = manifest.digest()?;
    let kept = retained(extraction);
    printer.done("extracted", &format!("a LoRA of rank {} into `{folder}`", args.rank));
    if !args.keep_others && !extraction.others.is_empty() {
        printer.warn(&format!(
            "{} outside the selected linear layers differ and are not in the adapter; `--keep-others` brings copies of them",
            units::count(extraction.others.len() as u64, "tensor"),
        ));
    }
    if printer.is_json() {
        let layers: Vec<Value> = (extraction.reports.iter())
            .map(|r| json!({ "layer": r.layer, "norm": r.norm(), "retained": r.retained() }))
            .collect();
        let others: Vec<Value> = (extraction.others.iter())
            .map(|o| json!({ "name": o.name, "largest": o.largest, "norm": o.norm, "kept": o.tensor.is_some() }))
            .collect();
        printer.json(&json!({
            "folder": args.output,
            "name": manifest.name,
            "version": manifest.version,
            "digest": digest,
            "size": manifest.total_size(),
            "method": manifest.method,
            "head": manifest.head,
            "retained": kept,
            "layers": layers,
            "others": others,
            "only_in_tuned": extraction.only_in_tuned,
        }))?;
        return Ok(());
    }
    let mut fields = Fields::default();
    fields.add("folder", folder.to_string());
    fields.add("digest", digest.to_string());
    fields.add("size", units::bytes(manifest.total_size()));
    fields.add("method", manifest.method.summary());
    fields.add("head", manifest.head.as_ref().map_or("none", hub_schemas::head::Head::kind));
    fields.add("layers updated", format!("{} of {}", extraction.layers.len(), extraction.reports.len()));
    fields.add("kept", format!("{:.2} % of the squared difference", 100.0 * kept));
    let worst = extraction.reports.iter().min_by(|a, b| a.retained().total_cmp(&b.retained()));
    if let Some(worst) = worst {
        let rank = worst.rank_for(0.99);
        fields.add(
            "least kept",
            format!("{:.2} % at {}, where 99 % takes rank {rank}", 100.0 * worst.retained(), worst.layer),
        );
    }
    Ok(printer.fields(&fields)?)
}
