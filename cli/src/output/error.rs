//! How an error is told: the chain, an empty line, the hints.

use super::Printer;
use crate::failure::{Exit, Verdict, judge};

/// Prints `error` and says how to end.
pub(crate) fn report_error(printer: &Printer, error: &anyhow::Error) -> Exit {
    // A reader such as `head` that has seen enough is no failure.
    let broken_pipe = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<std::io::Error>().is_some_and(broken_pipe) {
        return Exit::Success;
    }
    let Verdict { exit, hints } = judge(error);
    printer.error(&chain(error), &hints);
    exit
}

/// The messages from the outside in, without those that the one before repeats.
fn chain(error: &anyhow::Error) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Many libraries already say their source at the end of their own message.
        if !texts.iter().any(|earlier| earlier.contains(&text)) {
            texts.push(text);
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_is_already_told_is_not_told_twice() {
        let cause = anyhow::anyhow!("no such file");
        let error = cause.context("can't read `a.json`: no such file").context("can't push `a`");
        assert_eq!(chain(&error), ["can't push `a`", "can't read `a.json`: no such file"]);
    }
}
