//! The labels of a data set and their numbers.

use std::collections::{BTreeSet, HashMap};

use super::{DataError, DataFile, Example, TaskKind};

/// Longest label, in bytes; the manifest's limit.
const MAX_LABEL_BYTES: usize = 200;
/// Most labels of a classifier; the head's limit.
const MAX_LABELS: usize = 100_000;

/// Label names in the order of their numbers: by value when all are numbers, else by letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet(Vec<String>);

impl LabelSet {
    /// The labels of `file`; one alone is refused where there must be something to tell apart.
    pub fn of(file: &DataFile) -> Result<Self, DataError> {
        let distinct: BTreeSet<&str> =
            file.examples.iter().flat_map(|e| e.labels().iter().map(String::as_str)).collect();
        let mut labels: Vec<String> = distinct.into_iter().map(str::to_owned).collect();
        if let [label] = labels.as_slice()
            && file.kind == TaskKind::Classification
        {
            return Err(DataError::OneLabel { file: file.name.clone(), label: label.clone() });
        }
        if labels.is_empty() {
            return Err(DataError::Empty { file: file.name.clone(), detail: " with a label".to_owned() });
        }
        if labels.len() > MAX_LABELS {
            return Err(DataError::ManyLabels { file: file.name.clone(), labels: labels.len() });
        }
        let number = |label: &str| label.parse::<f64>().ok().filter(|n| n.is_finite());
        if labels.iter().all(|label| number(label).is_some()) {
            // Stable: spellings of one number (`1`, `1.0`) stay in the order of their letters.
            labels.sort_by(|a, b| number(a).unwrap_or_default().total_cmp(&number(b).unwrap_or_default()));
        }
        Ok(Self(labels))
    }

    /// The labels an adapter was trained with, in its order.
    pub fn from_names(names: Vec<String>) -> Self {
        Self(names)
    }

    /// The names, in the order of their numbers.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers of every example's labels.
    pub fn ids(&self, file: &str, examples: &[Example]) -> Result<Vec<Vec<u32>>, DataError> {
        let by_name: HashMap<&str, u32> =
            self.0.iter().zip(0..).map(|(name, id)| (name.as_str(), id)).collect();
        let ids = |example: &Example| {
            let id = |label: &String| {
                by_name.get(label.as_str()).copied().ok_or_else(|| DataError::UnknownLabel {
                    file: file.to_owned(),
                    line: example.line,
                    label: label.clone(),
                    known: self.shortlist(),
                })
            };
            example.labels().iter().map(id).collect()
        };
        examples.iter().map(ids).collect()
    }

    fn shortlist(&self) -> String {
        const SHOWN: usize = 12;
        let shown = self.0.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        match self.0.len().checked_sub(SHOWN) {
            None | Some(0) => shown,
            Some(rest) => format!("{shown} and {rest} more"),
        }
    }
}

/// Whether a manifest may hold this label.
pub(super) fn is_acceptable(label: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&label.len()) && !label.chars().any(char::is_control)
}
