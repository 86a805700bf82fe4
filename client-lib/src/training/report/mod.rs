//! `report.html`: one self-contained page about a training run.
//!
//! It holds no times, host names or paths: the same run gives the same bytes, and
//! the page's digest stands in the manifest.

mod chart;

use std::fmt::Write as _;

use hub_schemas::manifest::{Metric, TrainingRecipe};

use super::{history::History, observer::Preparation};
use crate::{
    digits,
    metrics::{Confusion, LabelCounts, Metric as Measured, Scores},
};
use chart::{Line, chart, smoothed};

/// A matrix with more labels is not readable; the most frequent mistakes are.
const MAX_MATRIX: usize = 24;
/// Rows of the tables of labels and of mistakes.
const MAX_ROWS: usize = 40;

/// What the page is about.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The adapter's name and version.
    pub title: &'a str,
    /// Its method with the numbers that set its size.
    pub method: &'a str,
    /// The backbone's name.
    pub base: &'a str,
    /// Label names, in the order of their numbers.
    pub labels: &'a [String],
    /// Sizes.
    pub preparation: &'a Preparation,
    /// Data and hyper-parameters.
    pub recipe: &'a TrainingRecipe,
    /// Measurements of the best checkpoint.
    pub metrics: &'a [Metric],
    /// Curves.
    pub history: &'a History,
    /// What made the best checkpoint the best.
    pub selection: Measured,
    /// The scores on the data of the first metric.
    pub scores: &'a Scores,
}

impl Report<'_> {
    /// The page.
    pub fn render(&self) -> String {
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p class=\"soft\">{method} on {base}, trained with {tool} {version}</p>\n",
            title = escape(self.title),
            style = include_str!("style.css"),
            method = escape(self.method),
            base = escape(self.base),
            tool = escape(&self.recipe.tool),
            version = escape(&self.recipe.tool_version),
        );
        self.figures(&mut page);
        self.curves(&mut page);
        self.results(&mut page);
        self.labels(&mut page);
        self.recipe(&mut page);
        page.push_str("</body>\n</html>\n");
        page
    }

    fn figures(&self, page: &mut String) {
        let sizes = self.preparation;
        let headline = self.metrics.first();
        let trained = sizes.method_parameters + sizes.head_parameters;
        let mut figures: Vec<(String, String)> = headline
            .map(|m| (format!("{:.4}", m.value), format!("{} ({})", m.name, m.split)))
            .into_iter()
            .collect();
        figures.extend([
            (grouped(trained), "trained numbers".to_owned()),
            (format!("{:.2} %", 100.0 * sizes.trainable_share()), "of the backbone".to_owned()),
            (grouped(sizes.training_examples), "examples".to_owned()),
            (grouped(self.history.losses.len()), "steps".to_owned()),
        ]);
        page.push_str("<div class=\"figures\">\n");
        for (value, name) in figures {
            let _ = writeln!(page, "<div><b>{value}</b>{}</div>", escape(&name));
        }
        page.push_str("</div>\n");
    }

    fn curves(&self, page: &mut String) {
        let losses: Vec<(f64, f64)> =
            (1..).map(f64::from).zip(self.history.losses.iter().map(|&l| f64::from(l))).collect();
        let evaluations = &self.history.evaluations;
        let series = |value: &dyn Fn(&super::history::Evaluation) -> f64| -> Vec<(f64, f64)> {
            evaluations.iter().map(|e| (e.step as f64, value(e))).collect()
        };
        page.push_str("<h2>Loss</h2>\n");
        page.push_str(&chart(
            "loss by step",
            &[
                Line { name: "training, each batch", class: "raw", points: losses.clone(), dots: false },
                Line { name: "training, smoothed", class: "a", points: smoothed(&losses), dots: false },
                Line { name: "validation", class: "b", points: series(&|e| f64::from(e.loss)), dots: true },
            ],
        ));
        page.push_str("<h2>Validation scores</h2>\n");
        // Errors have scales of their own.
        let measured =
            self.scores.values.iter().map(|(metric, _)| *metric).filter(|metric| !metric.is_error());
        let lines: Vec<Line<'_>> = measured
            .zip(["a", "b"])
            .map(|(metric, class)| {
                let points = series(&|e| e.scores.value(metric).unwrap_or(f64::NAN));
                let points = points.into_iter().filter(|(_, value)| value.is_finite()).collect();
                Line { name: metric.title(), class, points, dots: true }
            })
            .collect();
        let names: Vec<&str> = lines.iter().map(|line| line.name).collect();
        page.push_str(&chart(&format!("{} by step", names.join(" and ")), &lines));
        if let Some(best) = self.history.best(self.selection) {
            let name = self.selection.title();
            let _ = writeln!(
                page,
                "<p class=\"soft\">The checkpoint of step {}, the best by {name}, was kept.</p>",
                evaluations[best].step
            );
        }
    }

    fn results(&self, page: &mut String) {
        page.push_str("<h2>Results</h2>\n<table>\n<tr><th>metric</th><th class=\"n\">value</th><th>data</th><th>split</th></tr>\n");
        for metric in self.metrics {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td class=\"n\">{:.4}</td><td>{}</td><td>{}</td></tr>",
                escape(&metric.name),
                metric.value,
                escape(&metric.dataset),
                escape(&metric.split)
            );
        }
        page.push_str("</table>\n");
    }

    fn labels(&self, page: &mut String) {
        let rows = &self.scores.labels;
        if rows.is_empty() {
            return;
        }
        page.push_str("<h2>Labels</h2>\n<table>\n<tr><th>label</th><th class=\"n\">examples</th><th class=\"n\">precision</th><th class=\"n\">recall</th><th class=\"n\">F1</th></tr>\n");
        for LabelCounts { label, counts } in rows.iter().take(MAX_ROWS) {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.3}</td><td class=\"n\">{:.3}</td><td class=\"n\">{:.3}</td></tr>",
                escape(label),
                counts.support,
                counts.precision(),
                counts.recall(),
                counts.f1()
            );
        }
        page.push_str("</table>\n");
        if let Some(rest) = rows.len().checked_sub(MAX_ROWS).filter(|rest| *rest > 0) {
            let _ = writeln!(page, "<p class=\"soft\">and {rest} more labels</p>");
        }
        match &self.scores.confusion {
            Some(confusion) if self.labels.len() <= MAX_MATRIX => self.matrix(page, confusion),
            Some(confusion) => self.mistakes(page, confusion),
            None => {}
        }
    }

    fn matrix(&self, page: &mut String, confusion: &Confusion) {
        page.push_str("<h2>Confusion matrix</h2>\n<p class=\"soft\">Rows are the true labels, columns the predicted ones.</p>\n<div class=\"wide\"><table class=\"matrix\">\n<tr><th></th>");
        for label in self.labels {
            let _ = write!(page, "<th class=\"n\">{}</th>", escape(label));
        }
        page.push_str("</tr>\n");
        let counts = confusion.per_label(self.labels.len());
        for (truth, (label, counts)) in (0..).zip(self.labels.iter().zip(&counts)) {
            let _ = write!(page, "<tr><th>{}</th>", escape(label));
            for guess in 0..self.labels.len() as u32 {
                let count = confusion.count(truth, guess);
                let share = count as f64 / counts.support.max(1) as f64;
                let _ = write!(page, "<td style=\"--heat-share:{:.2}\">{count}</td>", 0.85 * share);
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</table></div>\n");
    }

    fn mistakes(&self, page: &mut String, confusion: &Confusion) {
        page.push_str("<h2>Most frequent mistakes</h2>\n<table>\n<tr><th>true label</th><th>predicted</th><th class=\"n\">times</th></tr>\n");
        let name = |label: u32| self.labels.get(label as usize).map_or("?", String::as_str);
        for (truth, guess, count) in confusion.mistakes().into_iter().take(MAX_ROWS) {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{count}</td></tr>",
                escape(name(truth)),
                escape(name(guess))
            );
        }
        page.push_str("</table>\n");
    }

    fn recipe(&self, page: &mut String) {
        page.push_str("<h2>Data</h2>\n<table>\n<tr><th>split</th><th>file</th><th class=\"n\">examples</th><th>digest</th></tr>\n");
        for source in &self.recipe.data {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td><code>{}</code></td></tr>",
                escape(&source.split),
                escape(&source.name),
                source.rows,
                source.digest
            );
        }
        page.push_str("</table>\n<h2>Hyper-parameters</h2>\n<table>\n");
        let _ = writeln!(page, "<tr><td>seed</td><td class=\"n\">{}</td></tr>", self.recipe.seed);
        for (name, value) in &self.recipe.hyper_parameters {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ =
                writeln!(page, "<tr><td>{}</td><td class=\"n\">{}</td></tr>", escape(name), escape(&value));
        }
        page.push_str("</table>\n");
    }
}

/// `12345` as `12 345`, with narrow spaces.
fn grouped(number: usize) -> String {
    digits::grouped(number as u64, '\u{202f}')
}

/// Text that can't become markup.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use hub_schemas::{Digest, manifest::DataSource};

    use super::*;
    use crate::training::history::Evaluation;

    fn page(labels: &[String]) -> String {
        let mut confusion = Confusion::default();
        (0..labels.len() as u32).for_each(|l| confusion.add(l, 0));
        let counts = confusion.per_label(labels.len());
        let counts = labels.iter().cloned().zip(counts);
        let scores = Scores {
            examples: confusion.total(),
            values: vec![(Measured::Accuracy, confusion.accuracy())],
            labels: counts.map(|(label, counts)| LabelCounts { label, counts }).collect(),
            confusion: Some(confusion),
        };
        let preparation = Preparation {
            method_parameters: 1200,
            head_parameters: 34,
            backbone_parameters: 100_000,
            training_examples: 10_605,
            validation_examples: 10,
            test_examples: 0,
            labels: labels.len(),
            steps: 2,
            padding_share: 0.1,
        };
        let recipe = TrainingRecipe {
            tool: "hub".into(),
            tool_version: "0.1.0".into(),
            seed: 7,
            data: vec![DataSource {
                name: "a.csv".into(),
                split: "train".into(),
                rows: 3,
                digest: Digest::of(b""),
                extra: serde_json::Map::new(),
            }],
            hyper_parameters: [("optimizer".to_owned(), "adamw".into())].into(),
            extra: serde_json::Map::new(),
        };
        let history = History {
            losses: vec![0.7, 0.5],
            evaluations: vec![Evaluation { step: 2, loss: 0.6, scores: scores.clone() }],
            kept_from: 0,
        };
        Report {
            title: "ada/mood 0.1.0",
            method: "lora r8",
            base: "mini",
            labels,
            preparation: &preparation,
            recipe: &recipe,
            metrics: &[],
            history: &history,
            selection: Measured::Accuracy,
            scores: &scores,
        }
        .render()
    }

    #[test]
    fn the_page_is_self_contained_and_holds_no_markup_from_labels() {
        let page = page(&["<script>alert(1)</script>".to_owned(), "a&b".to_owned()]);
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("http"), "{page}");
        assert!(page.contains("a&amp;b") && page.contains("<svg") && page.contains("Confusion matrix"));
    }

    #[test]
    fn many_labels_get_a_list_of_mistakes_instead_of_a_matrix() {
        let labels: Vec<String> = (0..77).map(|i| format!("intent {i}")).collect();
        let page = page(&labels);
        assert!(page.contains("Most frequent mistakes") && !page.contains("Confusion matrix"));
    }

    #[test]
    fn numbers_are_grouped_in_threes() {
        assert_eq!(
            [7, 999, 1000, 1_234_567].map(grouped),
            ["7", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
    }
}
