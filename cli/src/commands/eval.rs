//! `hub eval`: how good an adapter is on labelled data.

use hub_client::{
    predict::Predictor,
    training::{Measurement, data::DataFile, evaluate},
};
use serde_json::json;

use super::numeric::columns;
use crate::{
    args::eval::EvalArgs,
    context::Context,
    failure::Exit,
    output::{
        Fields, Table,
        progress::{Progress, Unit},
    },
};

/// Runs `hub eval`.
pub(crate) fn run(context: &Context, args: &EvalArgs) -> anyhow::Result<Exit> {
    let data = DataFile::read(&args.data, &columns(&args.columns))?;
    for notice in &data.notices {
        context.printer.status(&notice.to_string());
    }
    let (adapter, predictor) =
        context.open_predictor(&args.adapter, args.base.as_deref(), args.force, &args.stitch)?;
    let bar = Progress::new(&context.printer, "evaluating", Unit::Steps, data.examples.len() as u64);
    let mut before = 0;
    let measured = evaluate(&predictor, &data, args.batch_size.into(), |done| {
        bar.advance((done - before) as u64);
        before = done;
    })?;
    drop(bar);
    if context.printer.is_json() {
        print_json(context, &adapter.title, &data, &predictor, &measured)?;
    } else {
        print_text(context, &adapter.title, &data, &predictor, &measured)?;
    }
    Ok(Exit::Success)
}

fn print_json(
    context: &Context,
    title: &str,
    data: &DataFile,
    predictor: &Predictor,
    measured: &Measurement,
) -> anyhow::Result<()> {
    let confusion = &measured.confusion;
    let scores = confusion.per_label(predictor.labels().len());
    let labels: Vec<_> = (predictor.labels().iter().zip(&scores))
        .map(|(label, score)| {
            json!({
                "label": label,
                "examples": score.support,
                "precision": score.precision,
                "recall": score.recall,
                "f1": score.f1,
            })
        })
        .collect();
    context.printer.json(&json!({
        "adapter": title,
        "data": { "name": data.name, "digest": data.digest },
        "examples": confusion.total(),
        "right": confusion.right(),
        "accuracy": confusion.accuracy(),
        "macro_f1": confusion.macro_f1(),
        "loss": measured.loss,
        "labels": labels,
    }))?;
    Ok(())
}

fn print_text(
    context: &Context,
    title: &str,
    data: &DataFile,
    predictor: &Predictor,
    measured: &Measurement,
) -> anyhow::Result<()> {
    let confusion = &measured.confusion;
    let mut fields = Fields::default();
    fields.add("adapter", title);
    fields.add("data", &data.name);
    fields.add("examples", confusion.total().to_string());
    fields.add("accuracy", format!("{:.4}", confusion.accuracy()));
    fields.add("macro F1", format!("{:.4}", confusion.macro_f1()));
    fields.add("loss", format!("{:.4}", measured.loss));
    context.printer.fields(&fields)?;
    context.printer.line("")?;
    let mut table = Table::new(&["LABEL", "EXAMPLES", "PRECISION", "RECALL", "F1"]);
    let scores = confusion.per_label(predictor.labels().len());
    for (label, score) in predictor.labels().iter().zip(&scores) {
        let share = |value: f64| format!("{value:.4}");
        table.row([
            label.clone(),
            score.support.to_string(),
            share(score.precision),
            share(score.recall),
            share(score.f1),
        ]);
    }
    Ok(context.printer.table(&table)?)
}
