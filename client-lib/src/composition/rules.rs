//! Which blocks may stand inside which: the rules of the `adapters` library.

use super::{Composition, ExpressionError};

/// Refuses a nesting that the library refuses.
pub(super) fn check(composition: &Composition) -> Result<(), ExpressionError> {
    check_at(composition, 0)
}

fn check_at(block: &Composition, level: usize) -> Result<(), ExpressionError> {
    for child in block.children() {
        let (outer, inner) = (block.block(), child.block());
        if !may_hold(block, child) {
            let allowed = allowed(block).join(", ");
            return Err(ExpressionError::Nesting { outer, inner, allowed });
        }
        let is_leaf = matches!(child, Composition::Single(_) | Composition::Nothing);
        if level >= 1 && !is_leaf && !matches!(child, Composition::Stack(_)) {
            return Err(ExpressionError::TooDeep { outer, inner });
        }
        check_at(child, level + 1)?;
    }
    Ok(())
}

fn may_hold(outer: &Composition, inner: &Composition) -> bool {
    match inner {
        Composition::Single(_) => true,
        // Rows without an adapter only make sense where rows are told apart.
        Composition::Nothing => {
            matches!(outer, Composition::BatchSplit { .. } | Composition::Parallel(_))
        }
        other => allowed(outer).contains(&other.block()),
    }
}

fn allowed(outer: &Composition) -> &'static [&'static str] {
    match outer {
        Composition::Single(_) | Composition::Nothing => &[],
        Composition::Stack(_) => {
            &["a name", "Fuse", "Split", "Parallel", "BatchSplit", "Average", "MultiTask"]
        }
        Composition::Fuse { .. } => &["a name", "Stack"],
        Composition::Split { .. } => &["a name", "Split", "Stack", "BatchSplit", "Average"],
        Composition::Parallel(_) => &["a name", "None", "Stack", "BatchSplit", "Average"],
        Composition::BatchSplit { .. } => &["a name", "None", "Stack", "Split", "BatchSplit", "Average"],
        Composition::Average { .. } => &["a name", "Stack", "Split", "BatchSplit"],
        Composition::MultiTask(_) => &["a name", "Stack", "Average", "Fuse"],
    }
}
