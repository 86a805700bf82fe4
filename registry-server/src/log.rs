//! The log goes to standard error, for people or for machines; `RUST_LOG` chooses what is in it.
//!
//! Where traces are exported, a line that is written within a span has its ids: `trace_id` and `span_id`, fields of
//! their own in JSON, as OpenTelemetry asks of logs in other formats than its own.

use std::{
    fmt,
    io::{IsTerminal as _, stderr},
};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::{config::LogFormat, trace};

/// Sets the log up, once for the process; `traced` where traces are exported.
pub fn set_up(format: LogFormat, traced: bool) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,object_store=warn"));
    let ansi = stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(ansi);
    match (format, traced) {
        (LogFormat::Text, false) => log.with_target(false).init(),
        (LogFormat::Text, true) => {
            log.with_target(false)
                .map_event_format(|own| Traced { own: own.with_ansi(ansi), with: at_the_end })
                .init();
        }
        (LogFormat::Json, false) => log.json().flatten_event(true).init(),
        (LogFormat::Json, true) => {
            log.json().flatten_event(true).map_event_format(|own| Traced { own, with: as_fields }).init();
        }
    }
}

/// A format whose lines get the ids of trace and span.
struct Traced<F> {
    own: F,
    with: fn(&str, &str, &str) -> String,
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some((trace, span)) = trace::current_ids() else {
            return self.own.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.own.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&(self.with)(&line, &trace, &span))
    }
}

fn at_the_end(line: &str, trace: &str, span: &str) -> String {
    format!("{} trace_id={trace} span_id={span}\n", line.trim_end_matches('\n'))
}

fn as_fields(line: &str, trace: &str, span: &str) -> String {
    match line.strip_prefix('{') {
        Some(rest) => format!("{{\"trace_id\":\"{trace}\",\"span_id\":\"{span}\",{rest}"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_an_object_one_object() {
        assert_eq!(at_the_end("INFO Answered\n", "4b", "00"), "INFO Answered trace_id=4b span_id=00\n");
        let line = as_fields("{\"level\":\"INFO\"}\n", "4b", "00");
        assert_eq!(line, "{\"trace_id\":\"4b\",\"span_id\":\"00\",\"level\":\"INFO\"}\n");
    }
}
