//! `hub eval`: how good an adapter is on examples with what is right.

use hub_client::{
    data::DataFile,
    metrics::{LabelCounts, Metric},
    training::{Measurement, evaluate},
};
use serde_json::json;

use super::{numeric::columns, transcripts};
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

/// Runs `hub eval`.
pub(crate) fn run(context: &Context, args: &EvalArgs) -> anyhow::Result<Exit> {
    let opened = context.open_model(&args.adapter, args.base.as_deref(), args.force, &args.stitch)?;
    let (title, predictor) = match opened {
        Opened::Predicts(title, predictor) => (title, predictor),
        Opened::Answers(title, generator) if generator.listens() => {
            return transcripts::eval(context, args, &title, &generator);
        }
        Opened::Answers(..) => {
            let reason = "answers of a language model have no labels to be compared with";
            return Err(UserError::new(reason).into());
        }
    };
    let data = DataFile::read(&args.data, Some(predictor.task().kind()), &columns(&args.columns))?;
    for notice in &data.notices {
        context.printer.status(&notice.to_string());
    }
    let mut bar: Option<Progress> = None;
    let measured = evaluate(&predictor, &data, args.batch_size.into(), |done, rows| {
        let new = || Progress::new(&context.printer, "evaluating", Unit::Steps, rows as u64);
        bar.get_or_insert_with(new).set(done as u64);
    })?;
    drop(bar);
    if context.printer.is_json() {
        print_json(context, &title, &data, &measured)?;
    } else {
        print_text(context, &title, &data, &measured)?;
    }
    Ok(Exit::Success)
}

fn print_json(context: &Context, title: &str, data: &DataFile, measured: &Measurement) -> anyhow::Result<()> {
    let scores = &measured.scores;
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
        "loss": measured.loss,
        "labels": scores.labels.iter().map(label).collect::<Vec<_>>(),
    });
    if let Some(confusion) = &scores.confusion {
        document["right"] = json!(confusion.right());
    }
    for (metric, value) in &scores.values {
        document[metric.as_str()] = json!(value);
    }
    Ok(context.printer.json(&document)?)
}

fn print_text(context: &Context, title: &str, data: &DataFile, measured: &Measurement) -> anyhow::Result<()> {
    let scores = &measured.scores;
    let mut fields = Fields::default();
    fields.add("adapter", title);
    fields.add("data", &data.name);
    fields.add("examples", scores.examples.to_string());
    for (metric, value) in &scores.values {
        fields.add(metric.title(), format!("{value:.4}"));
    }
    fields.add(Metric::Loss.title(), format!("{:.4}", measured.loss));
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
