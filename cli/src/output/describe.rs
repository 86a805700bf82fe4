//! Adapters and choices in a few words.

use hub_client::exchange::{Choice, How};
use hub_schemas::api::{AdapterSummary, Candidate, MetricSummary, Reason};
use time::{OffsetDateTime, macros::format_description};

use super::{Printer, units};

/// A metric: `accuracy 0.912`.
pub(crate) fn metric(metric: &MetricSummary) -> String {
    format!("{} {}", metric.name, number(metric.value))
}

/// A metric's value, four digits at most.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0');
    text.strip_suffix('.').unwrap_or(text).to_owned()
}

/// A day: `2026-11-23`.
pub(crate) fn day(at: OffsetDateTime) -> String {
    at.format(format_description!("[year]-[month]-[day]")).unwrap_or_default()
}

/// Why a candidate stands where it stands.
pub(crate) fn reasons(candidate: &Candidate) -> String {
    let word = |reason: &Reason| match reason {
        Reason::ExactName => "its name".to_owned(),
        Reason::TaskMatch => "its task".to_owned(),
        Reason::SubtaskMatch => "its subtask".to_owned(),
        Reason::BaseMatch => "trained on the backbone in use".to_owned(),
        Reason::Metric { name, value } => format!("{name} {}", number(*value)),
        Reason::Pulls { count } => units::count(*count, "pull"),
    };
    candidate.reasons.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// `ada/sentiment@1.2.0`.
pub(crate) fn title(adapter: &AdapterSummary) -> String {
    format!("{}@{}", adapter.name, adapter.version)
}

/// Says on standard error what was chosen, and why, with the runners-up.
pub(crate) fn tell_choice(printer: &Printer, choice: &Choice) {
    match &choice.how {
        How::Exact => {}
        How::Newest { of } => {
            printer.status(&format!(
                "`{}` is the newest that fits, of {}",
                choice.title(),
                units::count(*of as u64, "version")
            ));
        }
        How::Best { word, candidates, other_bases } => {
            let mut why = candidates.first().map(reasons).unwrap_or_default();
            if candidates.is_empty() {
                why.push_str("the best match in the cache");
            }
            printer.status(&format!("`{word}` means `{}`: {why}", choice.title()));
            for candidate in candidates.iter().skip(1).take(3) {
                printer.status(&format!(
                    "  rather than `{}`: {}",
                    title(&candidate.adapter),
                    reasons(candidate)
                ));
            }
            if candidates.len() > 4 {
                printer.status(&format!("  or {} more", candidates.len() - 4));
            }
            if *other_bases > 0 {
                printer.status(&format!(
                    "  left out: {} for another backbone",
                    units::count(*other_bases, "adapter")
                ));
            }
        }
    }
    if let Some(reason) = &choice.yanked {
        printer.warn(&format!("`{}` was yanked: {reason}", choice.title()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_idle_digits() {
        assert_eq!([0.912_345, 1.0, 0.5, 12.0].map(number), ["0.9123", "1", "0.5", "12"]);
    }
}
