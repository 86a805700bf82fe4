//! Lines of standard input, for commands that take texts one a line.

use std::io::{BufRead as _, ErrorKind, IsTerminal as _};

use anyhow::Context as _;

use crate::{context::Context, failure::UserError};

/// The lines of standard input. A person who types them is told so; `what` are `texts` or `prompts`.
pub(crate) fn lines(context: &Context, what: &'static str) -> impl Iterator<Item = anyhow::Result<String>> {
    if std::io::stdin().is_terminal() {
        context.printer.status(&format!("reading {what} from standard input, one a line; Ctrl-D ends"));
    }
    (1_u64..).zip(std::io::stdin().lock().lines()).map(move |(number, line)| {
        line.map_err(|e| match e.kind() {
            ErrorKind::InvalidData => {
                anyhow::Error::from(UserError::new(format!("standard input, line {number}: not valid UTF-8")))
            }
            _ => anyhow::Error::from(e),
        })
        .with_context(|| format!("can't read the {what}"))
    })
}

/// Calls `take` with every text, or with every line of standard input where there is none.
pub(crate) fn each(
    context: &Context,
    texts: &[String],
    what: &'static str,
    mut take: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if texts.is_empty() {
        return lines(context, what).try_for_each(|line| take(&line?));
    }
    texts.iter().try_for_each(|text| take(text))
}
