//! Line charts as inline SVG: no script, no network, readable in light and dark.

use std::fmt::Write as _;

/// Points of one line.
pub(super) struct Line<'a> {
    /// For the legend.
    pub(super) name: &'a str,
    /// Class that the style sheet colours.
    pub(super) class: &'static str,
    /// `(step, value)`, by step.
    pub(super) points: Vec<(f64, f64)>,
    /// Whether every point gets a dot with its value.
    pub(super) dots: bool,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 36.0;
/// More points than pixels only make the file larger.
const MAX_POINTS: usize = 600;

/// A chart of `lines` over steps; `label` says what it shows to who can't see it.
pub(super) fn chart(label: &str, lines: &[Line<'_>]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let highest_step = all().map(|p| p.0).fold(1.0, f64::max);
    let (low, high) = bounds(all().map(|p| p.1));
    let x = |step: f64| LEFT + (WIDTH - LEFT - RIGHT) * step / highest_step;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        super::escape(label)
    );
    // Writing to a String can't fail.
    for tick in ticks(low, high, 5) {
        let at = y(tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 7.0,
            at + 4.0,
            short(tick),
        );
    }
    for tick in ticks(0.0, highest_step, 8) {
        let _ = writeln!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(tick),
            HEIGHT - BOTTOM + 17.0,
            short(tick),
        );
    }
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    let _ = writeln!(
        svg,
        "<text class=\"tick\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">step</text>",
        HEIGHT - 3.0
    );
    for line in lines {
        let points = thin(&line.points);
        let path: Vec<String> =
            points.iter().map(|&(step, value)| format!("{:.1},{:.1}", x(step), y(value))).collect();
        let _ = writeln!(svg, "<polyline class=\"{}\" points=\"{}\"/>", line.class, path.join(" "));
        for &(step, value) in points.iter().filter(|_| line.dots) {
            let _ = writeln!(
                svg,
                "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{}: {value:.4} after step {step}</title></circle>",
                line.class,
                x(step),
                y(value),
                super::escape(line.name),
            );
        }
    }
    svg.push_str("</svg>\n<p class=\"legend\">");
    for line in lines {
        let _ = write!(svg, "<span class=\"{}\">{}</span> ", line.class, super::escape(line.name));
    }
    svg.push_str("</p>\n");
    svg
}

/// The running mean that is easier to read than single batches: `s ← 0.9 s + 0.1 x`.
pub(super) fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut state = points.first().map_or(0.0, |p| p.1);
    points
        .iter()
        .map(|&(step, value)| {
            state = 0.9 * state + 0.1 * value;
            (step, state)
        })
        .collect()
}

/// Means over equal runs of points.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let run = points.len().div_ceil(MAX_POINTS).max(1);
    let mean = |run: &[(f64, f64)]| {
        let n = run.len() as f64;
        (run.iter().map(|p| p.0).sum::<f64>() / n, run.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(run).map(mean).collect()
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    match () {
        () if !(low.is_finite() && high.is_finite()) => (0.0, 1.0),
        () if high - low < 1e-9 => (low - 0.5, high + 0.5),
        () => {
            let margin = 0.05 * (high - low);
            (if low >= 0.0 { (low - margin).max(0.0) } else { low - margin }, high + margin)
        }
    }
}

/// Round numbers between `low` and `high`, about `count` of them.
fn ticks(low: f64, high: f64, count: u32) -> Vec<f64> {
    let rough = (high - low) / f64::from(count);
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * magnitude).find(|s| *s >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_inside_the_axis() {
        let shown = |low, high| ticks(low, high, 5).into_iter().map(short).collect::<Vec<_>>().join(" ");
        assert_eq!(shown(0.31, 0.72), "0.4 0.5 0.6 0.7");
        assert_eq!(shown(0.0, 846.0), "0 200 400 600 800");
    }

    #[test]
    fn long_curves_are_thinned_and_flat_ones_have_an_axis() {
        let points: Vec<_> = (0..5000).map(|i| (f64::from(i), 1.0)).collect();
        assert!(thin(&points).len() <= MAX_POINTS);
        let svg = chart("flat", &[Line { name: "loss", class: "a", points, dots: false }]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
