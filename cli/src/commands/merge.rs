//! `hub merge`: one adapter of several.

use hub_client::merging::{
    HeadRule, Member, MergeError, MergeKind, MergeOptions, MergedAdapter, merge_adapters,
};
use hub_formats::checkpoint::{AdapterToWrite, writable_format, write_publishable};
use hub_schemas::{
    Manifest,
    manifest::{BaseModel, Origin},
};
use serde_json::{Value, json};

use super::made::{Source, facts, origin, weights};
use crate::{
    args::merge::MergeArgs,
    context::Context,
    failure::{Exit, UserError},
    output::{Fields, units},
    whole::write_folder,
};

/// Yadav et al., "TIES-Merging" (2023), keep the largest fifth.
const TIES_DENSITY: f64 = 0.2;
/// Of what others drop at random or by size.
const DENSITY: f64 = 0.5;

/// Merges, writes and says what now exists.
pub(crate) fn run(context: &Context, args: &MergeArgs) -> anyhow::Result<Exit> {
    let sources =
        args.adapters.iter().map(|text| Source::open(context.find_adapter(text, args.base.as_deref())?));
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let base = base(context, args, &sources)?;
    let takes_the_mean = matches!(
        args.rule,
        MergeKind::Ties | MergeKind::TiesSvd | MergeKind::DareTies | MergeKind::DareTiesSvd
    );
    let default = if takes_the_mean { 1.0 } else { 1.0 / sources.len() as f64 };
    let weights = weights(&args.weights, sources.len(), default)?;
    let options = options(args);
    let members: Vec<Member<'_>> = (sources.iter().zip(&weights))
        .map(|(source, weight)| Member { folder: &source.folder, weight: *weight })
        .collect();
    let merged = merge_adapters(args.rule, &members, args.head.0, &options, &base.shape).map_err(refused)?;
    let noted = sources.iter().zip(&weights).map(|(source, weight)| source.noted(*weight, &base.shape));
    let origin = origin("merge", noted_options(args, &options), noted.collect::<anyhow::Result<_>>()?);
    let manifests: Vec<&Manifest> = sources.iter().filter_map(|s| s.folder.manifest.as_ref()).collect();
    let facts = facts(&args.facts, &args.output, &manifests, &merged.labels, origin.clone())?;
    let mut adapter = AdapterToWrite {
        format: hub_schemas::layout::Format::Peft,
        method: &merged.method,
        head: merged.head.as_ref(),
        class: sources[0].folder.wrapped_class().filter(|_| merged.head.is_none()),
        labels: &merged.labels,
        name: facts.name.name.as_str(),
        base: &base,
        slots: &merged.slots,
    };
    adapter.format = writable_format(&adapter)?;
    let mut manifest = None;
    write_folder(&args.output, "--output", |out| {
        manifest = Some(write_publishable(out, &adapter, facts.clone(), &merged.semantics)?);
        Ok(())
    })?;
    if let Some(manifest) = manifest {
        tell(context, args, &merged, &origin, &manifest)?;
    }
    Ok(Exit::Success)
}

/// Another rule may do what this one can't.
fn refused(error: MergeError) -> anyhow::Error {
    match error {
        MergeError::Method { .. } => UserError::new(error.to_string())
            .hint("`--rule average` makes the weighted sum of adapters of any one method")
            .into(),
        other => other.into(),
    }
}

/// The backbone that all of them belong to.
fn base(context: &Context, args: &MergeArgs, sources: &[Source]) -> anyhow::Result<BaseModel> {
    let stated = |source: &Source| source.folder.manifest.as_ref().map(|manifest| manifest.base.clone());
    let first = sources.iter().find_map(|source| Some((source, stated(source)?)));
    if let Some((one, base)) = &first {
        let differs = |s: &&Source| stated(s).is_some_and(|b| b.weights_digest != base.weights_digest);
        if let Some(other) = sources.iter().find(differs) {
            return Err(UserError::new(format!(
                "`{}` and `{}` were made for backbones with different weights, so a sum of them means nothing",
                one.found.title, other.found.title
            ))
            .hint("merge adapters of one backbone; `hub info` shows an adapter's `base weights`")
            .into());
        }
    }
    match (first, &args.base) {
        (Some((_, base)), None) => Ok(base),
        (Some((_, base)), Some(folder)) => {
            context.find_base(Some(&base), Some(folder), false)?;
            Ok(base)
        }
        (None, folder) => {
            let found = context.locate_base(context.base_search(folder.as_deref()), None)?;
            Ok(found.folder.model_with_digest(None, found.weights_digest))
        }
    }
}

fn options(args: &MergeArgs) -> MergeOptions {
    let is_ties = matches!(args.rule, MergeKind::Ties | MergeKind::TiesSvd);
    let default = || args.rule.takes_density().then_some(if is_ties { TIES_DENSITY } else { DENSITY });
    MergeOptions {
        density: args.density.or_else(default),
        majority_sign: args.majority_sign,
        rank: args.rank,
        clamp: args.clamp,
        normalise: args.normalise,
        seed: args.seed,
    }
}

/// Everything that the result depends on besides the weights.
fn noted_options(args: &MergeArgs, options: &MergeOptions) -> Vec<(&'static str, Value)> {
    let mut noted = vec![("rule", json!(args.rule.as_str()))];
    noted.extend(options.density.map(|density| ("density", json!(density))));
    noted.extend(options.rank.map(|rank| ("rank", json!(rank))));
    noted.extend(options.clamp.map(|clamp| ("clamp", json!(clamp))));
    if args.rule.as_str().contains("ties") {
        noted.push(("majority_sign", json!(options.majority_sign.as_str())));
    }
    if options.normalise {
        noted.push(("normalise", json!(true)));
    }
    if args.rule.is_random() {
        noted.push(("seed", json!(options.seed)));
    }
    match args.head.0 {
        HeadRule::Auto => {}
        HeadRule::Drop => noted.push(("head", json!("none"))),
        HeadRule::Of(number) => noted.push(("head", json!(number))),
    }
    noted
}

fn tell(
    context: &Context,
    args: &MergeArgs,
    merged: &MergedAdapter,
    origin: &Origin,
    manifest: &Manifest,
) -> anyhow::Result<()> {
    let printer = &context.printer;
    let folder = args.output.display();
    printer.done(
        "merged",
        &format!("{} by {} into `{folder}`", units::count(args.adapters.len() as u64, "adapter"), args.rule),
    );
    let head = match (&merged.head, merged.heads) {
        (None, _) => "none".to_owned(),
        (Some(head), 1) => format!("{}, of one adapter", head.kind()),
        (Some(head), n) => format!("{}, the weighted mean of {n}", head.kind()),
    };
    let digest = manifest.digest()?;
    if printer.is_json() {
        printer.json(&json!({
            "folder": args.output,
            "name": manifest.name,
            "version": manifest.version,
            "digest": digest,
            "size": manifest.total_size(),
            "format": manifest.format,
            "method": manifest.method,
            "head": manifest.head,
            "heads_merged": merged.heads,
            "origin": origin,
        }))?;
    } else {
        let mut fields = Fields::default();
        fields.add("folder", folder.to_string());
        fields.add("digest", digest.to_string());
        fields.add("size", units::bytes(manifest.total_size()));
        fields.add("method", manifest.method.summary());
        fields.add("head", head);
        for source in &origin.sources {
            let weight = source.weight.unwrap_or_default();
            fields.add("made of", format!("{} x {} ({})", weight, source.name, source.digest.short()));
        }
        printer.fields(&fields)?;
    }
    let publish = format!("publish it with `hub push {folder}`");
    printer.hint(&match &merged.head {
        Some(_) => format!("measure it with `hub eval {folder} --data FILE`, {publish}"),
        None => publish,
    });
    Ok(())
}
