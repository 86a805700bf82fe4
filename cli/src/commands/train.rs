//! `hub train`: from examples to a folder that can be published.

mod job;
mod method;
mod progress;
mod tuners;

use hub_client::{
    data::TaskKind,
    metrics::Metric,
    training::{FinishedJob, FrozenMember, JobOutcome, Preparation, PreparedJob},
};
use hub_schemas::manifest::BaseModel;
use serde_json::json;

use crate::{
    args::{forward::NamedFolder, train::TrainArgs},
    context::Context,
    failure::Exit,
    output::{Fields, units},
};
pub(crate) use job::local_name;
use progress::Watcher;

/// Runs `hub train`.
pub(crate) fn run(context: &Context, args: TrainArgs) -> anyhow::Result<Exit> {
    let (members, wanted) = find_members(context, &args)?;
    let stacked = args.stack.on.clone();
    let base = context.find_base(wanted.as_ref(), args.base.as_deref(), false)?;
    let dry_run = args.dry_run;
    let compute = args.steering.compute.open()?;
    let job = job::resolve(args, base.folder, members)?;
    let output = job.output.clone();
    let prepared = job.prepare(&compute.device)?;
    if dry_run {
        prepared.notices.iter().for_each(|notice| progress::tell(&context.printer, notice));
        print_plan(context, &prepared)?;
        return Ok(Exit::Success);
    }
    // Without CUDA there is nothing to tell.
    if cfg!(feature = "cuda") {
        context.printer.status(&format!("computing on {}", compute.title()));
    }
    let started = std::time::Instant::now();
    let mut watcher = Watcher::new(&context.printer, context.interrupts.flag());
    match prepared.run(&mut watcher)? {
        JobOutcome::Finished(finished) => {
            drop(watcher);
            context.printer.done(
                "trained",
                &format!(
                    "`{}@{}` in {}: kept step {} of {}",
                    finished.manifest.name,
                    finished.manifest.version,
                    units::duration(started.elapsed()),
                    finished.best_step,
                    finished.steps,
                ),
            );
            print_result(context, &output, &finished)?;
            let folder = output.display();
            let tried = if stacked.is_empty() {
                format!("try it with `hub run {folder} {}`", input(&prepared, &finished))
            } else {
                format!("run it with `hub compose {} --output DIR`", composed(&stacked, &folder.to_string()))
            };
            context.printer.hint(&format!("{tried}, publish it with `hub push {folder}`"));
            Ok(Exit::Success)
        }
        JobOutcome::Interrupted { step, total } => {
            drop(watcher);
            context.printer.warn(&format!(
                "interrupted after step {step} of {total}; the run is saved in `{}`",
                output.display()
            ));
            context.printer.hint("the same command with `--resume` goes on with it");
            Ok(Exit::Interrupted)
        }
    }
}

/// What to ask the new adapter, as it is typed.
fn input(prepared: &PreparedJob, finished: &FinishedJob) -> String {
    match prepared.task().kind() {
        TaskKind::QuestionAnswering => "\"a question\" --pair \"a passage\"".to_owned(),
        TaskKind::MultipleChoice => "\"a text\" --choice \"one\" --choice \"another\"".to_owned(),
        TaskKind::Tagging | TaskKind::DependencyParsing => "\"a sentence\"".to_owned(),
        TaskKind::MaskedLm => {
            format!("\"a text with a {}\"", prepared.mask_token().unwrap_or_default())
        }
        TaskKind::CausalLm if prepared.sees() => "picture.png".to_owned(),
        TaskKind::CausalLm => "\"a prompt\"".to_owned(),
        _ if prepared.reads_pairs() => "\"a text\" --pair \"another\"".to_owned(),
        _ => finished.manifest.base.architecture.example_input().to_owned(),
    }
}

/// The expression and its adapters, as they are typed: alone the new adapter computes something else.
fn composed(below: &[NamedFolder], folder: &str) -> String {
    let names: Vec<String> = (1..=below.len()).map(|number| format!("below{number}")).collect();
    let adapters: Vec<String> = names
        .iter()
        .zip(below)
        .map(|(name, named)| format!("--adapter {name}={}", named.folder.display()))
        .collect();
    format!("\"Stack({}, top)\" {} --adapter top={folder}", names.join(", "), adapters.join(" "))
}

/// The adapters to fuse or to train on top of, and the base model that they were trained on.
fn find_members(
    context: &Context,
    args: &TrainArgs,
) -> anyhow::Result<(Vec<FrozenMember>, Option<BaseModel>)> {
    let mut members = Vec::new();
    let mut wanted = None;
    for named in args.fuse.fuse.iter().chain(&args.stack.on) {
        let found = context.find_adapter(&named.folder.to_string_lossy(), args.base.as_deref())?;
        wanted = wanted.or(found.manifest.map(|manifest| manifest.base));
        members.push(FrozenMember { name: named.name.clone(), folder: found.folder });
    }
    Ok((members, wanted))
}

fn print_plan(context: &Context, prepared: &PreparedJob) -> anyhow::Result<()> {
    let sizes: &Preparation = &prepared.preparation;
    if context.printer.is_json() {
        context.printer.json(&json!({
            "task": prepared.task().kind().as_str(),
            "method": prepared.method_summary(),
            "format": prepared.format(),
            "trainable": {
                "method": sizes.method_parameters,
                "head": sizes.head_parameters,
                "total": sizes.method_parameters + sizes.head_parameters,
                "share_of_backbone": sizes.trainable_share(),
            },
            "backbone_parameters": sizes.backbone_parameters,
            "labels": prepared.labels(),
            "examples": {
                "train": sizes.training_examples,
                "validation": sizes.validation_examples,
                "test": sizes.test_examples,
            },
            "steps": sizes.steps,
            "padding_share": sizes.padding_share,
        }))?;
        return Ok(());
    }
    let mut fields = Fields::default();
    fields.add("task", prepared.task().kind().as_str());
    fields.add("method", prepared.method_summary());
    fields.add("adapter parameters", sizes.method_parameters.to_string());
    fields.add("head parameters", sizes.head_parameters.to_string());
    fields.add(
        "trainable",
        format!(
            "{} ({:.2} % of the backbone's {})",
            sizes.method_parameters + sizes.head_parameters,
            100.0 * sizes.trainable_share(),
            sizes.backbone_parameters,
        ),
    );
    fields.add("written as", prepared.format().to_string());
    if !prepared.labels().is_empty() {
        fields.add("labels", prepared.labels().join(", "));
    }
    fields.add("examples", progress::examples(sizes));
    fields.add("steps", sizes.steps.to_string());
    fields.add("padding", format!("{:.1} % of the positions", 100.0 * sizes.padding_share));
    Ok(context.printer.fields(&fields)?)
}

fn print_result(context: &Context, output: &std::path::Path, finished: &FinishedJob) -> anyhow::Result<()> {
    let manifest = &finished.manifest;
    if context.printer.is_json() {
        context.printer.json(&json!({
            "folder": output.display().to_string(),
            "name": manifest.name,
            "version": manifest.version,
            "digest": finished.digest,
            "size": manifest.total_size(),
            "best_step": finished.best_step,
            "steps": finished.steps,
            "metrics": manifest.metrics,
        }))?;
        return Ok(());
    }
    let mut fields = Fields::default();
    fields.add("folder", output.display().to_string());
    fields.add("digest", finished.digest.to_string());
    fields.add("size", units::bytes(manifest.total_size()));
    for metric in &manifest.metrics {
        let value = format!("{:.4} ({} of {})", metric.value, metric.split, metric.dataset);
        let title = metric.name.parse().map_or("metric", Metric::title);
        fields.add(title, value);
    }
    Ok(context.printer.fields(&fields)?)
}
