//! `hub eval`: how good an adapter is on examples with what is right.

use hub_client::{
    data::{ColumnRef, DataFile, IMAGES},
    generation::{Compared, Generator, closeness, compare},
    metrics::{LabelCounts, Metric},
    predict::Predictor,
    training::{Measurement, evaluate},
};
use serde_json::json;

use super::{numeric::columns, run::options, transcripts};
use crate::{
    args::eval::EvalArgs,
    context::Context,
    failure::{Exit, UserError},
    members::Opened,
    output::{
        Fields, Table,
        progress::{Progress, Unit},
    },
};

/// What was measured, on what.
struct Measured {
    title: String,
    data: DataFile,
    measurement: Measurement,
    /// What a language model wrote, where it was asked to.
    written: Option<Vec<Compared>>,
}

/// Runs `hub eval`.
pub(crate) fn run(context: &Context, args: &EvalArgs) -> anyhow::Result<Exit> {
    let opened = context.open_model(&args.adapter, args.base.as_deref(), args.force, &args.stitch)?;
    let measured = match opened {
        Opened::Predicts(..) if args.generate => {
            return Err(UserError::new("`--generate` lets a language model write; this one labels").into());
        }
        Opened::Answers(title, generator) if generator.listens() && !args.generate => {
            return transcripts::eval(context, args, &title, &generator);
        }
        Opened::Answers(_, generator) if generator.listens() => {
            return Err(
                UserError::new("a model of speech always writes: `--generate` has nothing to add").into()
            );
        }
        Opened::Answers(..) if args.stitch.max_length.is_some() => {
            return Err(UserError::new(
                "a language model reads its texts whole: `--max-length` has no meaning",
            )
            .into());
        }
        Opened::Answers(..) if args.stitch.doc_stride.is_some() => {
            return Err(
                UserError::new("a language model reads no windows: `--doc-stride` has no meaning").into()
            );
        }
        Opened::Predicts(title, predictor) => measure(context, args, title, &predictor)?,
        Opened::Answers(title, generator) => measure_writer(context, args, title, &generator)?,
    };
    if context.printer.is_json() {
        print_json(context, &measured)?;
    } else {
        print_text(context, &measured)?;
    }
    Ok(Exit::Success)
}

fn measure(
    context: &Context,
    args: &EvalArgs,
    title: String,
    predictor: &Predictor,
) -> anyhow::Result<Measured> {
    let data = DataFile::read(&args.data, Some(predictor.task().kind()), &columns(&args.columns))?;
    say(context, &data);
    let model = (predictor.model(), predictor.task(), predictor.encoder());
    let measurement = evaluate(model, &data, args.batch_size.into(), progress(context, "evaluating"))?;
    Ok(Measured { title, data, measurement, written: None })
}

/// How well it foresees the right answers, and how close its own come to them.
fn measure_writer(
    context: &Context,
    args: &EvalArgs,
    title: String,
    generator: &Generator,
) -> anyhow::Result<Measured> {
    let task = generator.task().ok_or_else(|| UserError::new("the model has no head"))?;
    let mut columns = columns(&args.columns);
    if generator.sees() {
        columns.image = Some(ColumnRef::Name(IMAGES.to_owned()));
    }
    let data = DataFile::read(&args.data, Some(task.kind()), &columns)?;
    say(context, &data);
    let model = (generator.model(), &task, &generator.encoder()?);
    let mut measurement = evaluate(model, &data, args.batch_size.into(), progress(context, "evaluating"))?;
    let mut written = None;
    if args.generate {
        let options = options(&args.generation, generator.defaults());
        let (mut show, count) = (progress(context, "writing"), data.examples.len());
        let examples = (data.examples.as_slice(), data.folder.as_path());
        let compared = compare(generator, examples, &options, |done| show(done, count))?;
        if compared.is_empty() {
            let reason = format!("`{}` has no answers to compare with", data.name);
            return Err(UserError::new(reason).hint("name their column with `--label-column`").into());
        }
        measurement.scores.values.splice(0..0, closeness(&compared).values);
        written = Some(compared);
    }
    Ok(Measured { title, data, measurement, written })
}

/// What a person should know about the data.
pub(super) fn say(context: &Context, data: &DataFile) {
    data.notices.iter().for_each(|notice| context.printer.status(&notice.to_string()));
}

/// A bar that appears with the first step.
pub(super) fn progress<'c>(context: &'c Context, what: &'static str) -> impl FnMut(usize, usize) + 'c {
    let mut bar: Option<Progress> = None;
    move |done, all| {
        let new = || Progress::new(&context.printer, what, Unit::Steps, all as u64);
        bar.get_or_insert_with(new).set(done as u64);
    }
}

fn print_json(context: &Context, measured: &Measured) -> anyhow::Result<()> {
    let Measured { title, data, measurement, written } = measured;
    let scores = &measurement.scores;
    let label = |LabelCounts { label, counts }: &LabelCounts| {
        json!({
            "label": label,
            "examples": counts.support,
            "precision": counts.precision(),
            "recall": counts.recall(),
            "f1": counts.f1(),
        })
    };
    let mut document = json!({
        "adapter": title,
        "data": { "name": data.name, "digest": data.digest },
        "examples": scores.examples,
        "loss": measurement.loss,
        "labels": scores.labels.iter().map(label).collect::<Vec<_>>(),
    });
    if let Some(confusion) = &scores.confusion {
        document["right"] = json!(confusion.right());
    }
    if let Some(written) = written {
        document["answers"] = json!(written);
    }
    for (metric, value) in &scores.values {
        document[metric.as_str()] = json!(value);
    }
    Ok(context.printer.json(&document)?)
}

fn print_text(context: &Context, measured: &Measured) -> anyhow::Result<()> {
    let Measured { title, data, measurement, .. } = measured;
    let scores = &measurement.scores;
    let mut fields = Fields::default();
    fields.add("adapter", title);
    fields.add("data", &data.name);
    fields.add("examples", scores.examples.to_string());
    for (metric, value) in &scores.values {
        fields.add(metric.title(), format!("{value:.4}"));
    }
    fields.add(Metric::Loss.title(), format!("{:.4}", measurement.loss));
    context.printer.fields(&fields)?;
    if scores.labels.is_empty() {
        return Ok(());
    }
    context.printer.line("")?;
    let mut table = Table::new(&["LABEL", "EXAMPLES", "PRECISION", "RECALL", "F1"]);
    for LabelCounts { label, counts } in &scores.labels {
        let share = |value: f64| format!("{value:.4}");
        table.row([
            label.clone(),
            counts.support.to_string(),
            share(counts.precision()),
            share(counts.recall()),
            share(counts.f1()),
        ]);
    }
    Ok(context.printer.table(&table)?)
}
