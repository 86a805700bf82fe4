//! The one place that writes to standard output and standard error.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
};

use console::Style;
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use super::{Fields, Table, plain, style};
use crate::{
    args::{Color, Format, GlobalArgs},
    env,
};

/// Writes talk and data; cheap to clone.
#[derive(Clone)]
pub(crate) struct Printer {
    format: Format,
    quiet: u8,
    verbose: u8,
    colors_errors: bool,
    colors_data: bool,
    /// Progress bars share the terminal with talk, so talk goes through them.
    bars: Arc<MultiProgress>,
}

impl Printer {
    /// As the flags say; colour is refined when the settings are known.
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let printer = Self {
            format: global.format,
            quiet: global.quiet,
            verbose: global.verbose,
            colors_errors: false,
            colors_data: false,
            bars: Arc::new(bars),
        };
        if printer.shows_bars() {
            printer.bars.set_draw_target(ProgressDrawTarget::stderr_with_hz(12));
        }
        printer.with_color(global.color.unwrap_or_default())
    }

    /// The same with colour as asked for.
    pub(crate) fn with_color(&self, color: Color) -> Self {
        let decide = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && env::get(env::NO_COLOR).is_none(),
        };
        Self {
            colors_errors: decide(io::stderr().is_terminal()),
            colors_data: decide(io::stdout().is_terminal()),
            ..self.clone()
        }
    }

    /// Whether data is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// How often `-v` was given.
    pub(crate) fn verbosity(&self) -> u8 {
        self.verbose
    }

    /// Whether standard error is painted.
    pub(crate) fn colors_errors(&self) -> bool {
        self.colors_errors
    }

    /// Whether bars that move make sense: a terminal is there and nobody asked for quiet or a log.
    pub(crate) fn shows_bars(&self) -> bool {
        self.quiet == 0 && self.verbose == 0 && io::stderr().is_terminal()
    }

    /// Whether a plain line of progress makes sense.
    pub(crate) fn shows_status(&self) -> bool {
        self.quiet == 0
    }

    /// Where bars are added.
    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// What is going on, on standard error; silenced by `-q`.
    pub(crate) fn status(&self, text: &str) {
        if self.shows_status() {
            self.talk(&style::code_spans(&plain::lines(text), self.colors_errors));
        }
    }

    /// Something done, with a green word in front; silenced by `-q`.
    pub(crate) fn done(&self, verb: &str, text: &str) {
        if self.shows_status() {
            let verb = style::paint(verb, Style::new().green().bold(), self.colors_errors);
            self.talk(&format!("{verb} {}", style::code_spans(&plain::lines(text), self.colors_errors)));
        }
    }

    /// Something the person should act on; silenced by `-qq`.
    pub(crate) fn warn(&self, text: &str) {
        if self.quiet < 2 {
            let label = style::paint("warning:", Style::new().yellow().bold(), self.colors_errors);
            self.talk(&format!("{label} {}", style::code_spans(&plain::lines(text), self.colors_errors)));
        }
    }

    /// What to do next, after an empty line; silenced by `-q`.
    pub(crate) fn hint(&self, text: &str) {
        self.hints(&[text.to_owned()]);
    }

    /// Several things to do next, after an empty line; silenced by `-q`.
    pub(crate) fn hints(&self, texts: &[String]) {
        if self.shows_status() && !texts.is_empty() {
            self.talk("");
            for text in texts {
                self.hint_line(text);
            }
        }
    }

    /// An error with its causes and hints; never silenced.
    pub(crate) fn error(&self, chain: &[String], hints: &[String]) {
        for (depth, text) in chain.iter().enumerate() {
            let (label, indent) = if depth == 0 { ("error:", "") } else { ("caused by:", "  ") };
            let label = style::paint(label, Style::new().red().bold(), self.colors_errors);
            let text = style::code_spans(&plain::lines(text), self.colors_errors);
            self.talk(&format!("{indent}{label} {text}"));
        }
        if !hints.is_empty() {
            self.talk("");
        }
        for hint in hints {
            self.hint_line(hint);
        }
    }

    fn hint_line(&self, text: &str) {
        let label = style::paint("hint:", Style::new().cyan().bold(), self.colors_errors);
        self.talk(&format!("{label} {}", style::code_spans(&plain::lines(text), self.colors_errors)));
    }

    fn talk(&self, text: &str) {
        // Nothing sensible is left to do when standard error is closed.
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// A question on standard error, without a line break after it.
    pub(crate) fn ask(&self, text: &str) {
        self.bars.suspend(|| {
            let mut stderr = io::stderr().lock();
            let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
        });
    }

    /// One line of data.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        self.raw(format!("{}\n", plain::line(text)).as_bytes())
    }

    /// A table of data.
    pub(crate) fn table(&self, table: &Table) -> io::Result<()> {
        self.raw(table.render(self.colors_data).as_bytes())
    }

    /// Named values, one a line.
    pub(crate) fn fields(&self, fields: &Fields) -> io::Result<()> {
        self.raw(fields.render(self.colors_data).as_bytes())
    }

    /// One JSON document.
    pub(crate) fn json<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.raw(format!("{}\n", plain::json(&text)).as_bytes())
    }

    /// Bytes as they are: for what is made here and harmless.
    pub(crate) fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        })
    }
}
