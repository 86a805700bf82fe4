//! A heat map as one SVG file: no script, no network, the number in every cell.

use std::fmt::Write as _;

const CELL: usize = 76;
const LINE: usize = 26;
const LEFT: usize = 170;
const TOP: usize = 62;
/// Longest name that is drawn.
const MAX_NAME: usize = 22;

/// Values between zero and one by row and column.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// What it shows.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Names of the rows with their values, one for each column; `None` where there is none.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

impl HeatMap {
    /// The file.
    pub fn svg(&self) -> String {
        let (width, height) = (LEFT + CELL * self.columns.len() + 16, TOP + LINE * self.rows.len() + 16);
        let title = escape(&self.title);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n<text class=\"title\" x=\"12\" y=\"22\">{title}</text>\n"
        );
        // Writing to a String can't fail.
        for (i, column) in self.columns.iter().enumerate() {
            let x = LEFT + CELL * i + CELL / 2;
            let _ = writeln!(
                svg,
                "<text class=\"name\" text-anchor=\"middle\" x=\"{x}\" y=\"{}\">{}</text>",
                TOP - 10,
                name(column)
            );
        }
        for (line, (row, values)) in self.rows.iter().enumerate() {
            let y = TOP + LINE * line;
            let _ = writeln!(svg, "<text class=\"name\" x=\"12\" y=\"{}\">{}</text>", y + 17, name(row));
            for (i, value) in values.iter().enumerate() {
                let Some(value) = value else { continue };
                let x = LEFT + CELL * i;
                let share = value.clamp(0.0, 1.0);
                let class = if share > 0.55 { "over" } else { "under" };
                let _ = writeln!(
                    svg,
                    "<rect class=\"heat\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill-opacity=\"{share:.3}\"/><text class=\"{class}\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{value:.2}</text>",
                    CELL - 2,
                    LINE - 2,
                    x + CELL / 2 - 1,
                    y + 17
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1c2430}.title{font-weight:600}.page{fill:#fff}.heat{fill:#0b5cad}.over{fill:#fff}@media (prefers-color-scheme:dark){text{fill:#e6e9ee}.page{fill:#14181f}.heat{fill:#5aa9f8}.over{fill:#0b1220}}";

fn name(text: &str) -> String {
    let cut: String = text.chars().take(MAX_NAME).collect();
    if cut.len() < text.len() { format!("{}…", escape(&cut)) } else { escape(text) }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_drawn_and_names_can_not_break_out() {
        let map = HeatMap {
            title: "a & b".to_owned(),
            columns: vec!["<script>".to_owned(), "b".to_owned()],
            rows: vec![("layers.0.ffn".to_owned(), vec![Some(0.25), None])],
        };
        let svg = map.svg();
        assert!(svg.contains("0.25") && svg.contains("&lt;script&gt;") && svg.contains("a &amp; b"));
        assert!(!svg.contains("<script>") && svg.matches("class=\"heat\"").count() == 1);
    }
}
