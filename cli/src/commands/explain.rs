//! `hub explain`: which members a fusion listened to, and how far gates were open.

use hub_client::{
    files::{Access, write_atomic},
    heatmap::HeatMap,
    model::{Attribution, Chooser},
    tasks::Predicted,
};
use serde_json::json;

use crate::{
    args::explain::ExplainArgs,
    commands::typed::Typed,
    context::Context,
    failure::{Exit, UserError},
    output::Table,
};

/// Characters of the longest bar.
const BAR: f64 = 20.0;

/// Runs `hub explain`.
pub(crate) fn run(context: &Context, args: &ExplainArgs) -> anyhow::Result<Exit> {
    let (adapter, predictor) =
        context.open_predictor(&args.adapter, args.base.as_deref(), args.force, &args.stitch)?;
    let pair = (args.pair.as_deref(), args.pairs);
    let typed = Typed::new(predictor.task().kind(), pair, &args.choices)?;
    let mut texts = Vec::new();
    let mut all = Vec::new();
    for text in &args.texts {
        let (predicted, attributions) = predictor.explain(&typed.example(text)?)?;
        let mut entry = json!({ "text": text, "attributions": attributions });
        if let Predicted::Label(prediction) = predicted {
            entry["label"] = json!(prediction.label);
            entry["probability"] = json!(prediction.probability);
        }
        texts.push(entry);
        all.push(attributions);
    }
    let mean = mean(&all);
    if mean.is_empty() {
        return Err(UserError::new(format!(
            "`{}` chooses nothing: it has no fusion and no gates",
            adapter.title
        ))
        .hint("a fusion is trained with `hub train --fuse a --fuse b`, gates with `--method unipelt`")
        .into());
    }
    if let Some(path) = &args.output {
        let svg = heat_map(&adapter.title, &mean).svg();
        write_atomic(path, svg.as_bytes(), Access::Everyone)
            .map_err(|e| UserError::new(format!("can't write `{}`: {e}", path.display())))?;
        context.printer.done("drew", &format!("`{}`", path.display()));
    }
    if context.printer.is_json() {
        context.printer.json(&json!({ "adapter": adapter.title, "texts": texts, "mean": mean }))?;
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["PLACE", "CHOICE", "SHARE", ""]);
    for attribution in &mean {
        for (name, value) in attribution.names.iter().zip(&attribution.values) {
            let bar = "#".repeat((value * BAR).round().clamp(0.0, BAR) as usize);
            table.row([attribution.place.clone(), name.clone(), format!("{value:.3}"), bar]);
        }
    }
    context.printer.table(&table)?;
    Ok(Exit::Success)
}

/// The mean over texts, choice by choice: every text takes the same way through the model.
fn mean(all: &[Vec<Attribution>]) -> Vec<Attribution> {
    let Some((first, others)) = all.split_first() else { return Vec::new() };
    let mut mean = first.clone();
    for (i, attribution) in mean.iter_mut().enumerate() {
        for (j, value) in attribution.values.iter_mut().enumerate() {
            let more = others.iter().filter_map(|other| other.get(i)?.values.get(j));
            *value = (*value + more.sum::<f64>()) / all.len() as f64;
        }
    }
    mean
}

fn heat_map(title: &str, mean: &[Attribution]) -> HeatMap {
    let mut columns: Vec<String> = Vec::new();
    for name in mean.iter().flat_map(|attribution| &attribution.names) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    let value = |attribution: &Attribution, column: &String| {
        let index = attribution.names.iter().position(|name| name == column)?;
        attribution.values.get(index).copied()
    };
    let row = |attribution: &Attribution| {
        let values = columns.iter().map(|column| value(attribution, column)).collect();
        (attribution.place.clone(), values)
    };
    let rows = mean.iter().map(row).collect();
    let what = if mean.iter().any(|a| a.chooser == Chooser::Fusion) { "fusion attention" } else { "gates" };
    HeatMap { title: format!("{title}: {what}, mean over tokens"), columns, rows }
}
