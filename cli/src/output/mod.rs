//! Everything that reaches the terminal: talk on standard error, data on standard output.
//!
//! Nothing else in `hub` prints. Text from elsewhere (a registry, a manifest, a
//! file name) passes through [`plain`], so it can't draw on the terminal.

pub(crate) mod describe;
mod error;
pub(crate) mod plain;
mod printer;
pub(crate) mod progress;
mod style;
mod table;
mod transfers;
pub(crate) mod units;

pub(crate) use error::report_error;
pub(crate) use printer::Printer;
pub(crate) use table::{Fields, Table};
pub(crate) use transfers::Transfers;

/// Sends the log to standard error: nothing unless `-v` or the log variable asks for it.
pub(crate) fn init_tracing(printer: &Printer) {
    use tracing_subscriber::EnvFilter;
    let default = match printer.verbosity() {
        0 => None,
        1 => Some("hub=debug,hub_client=debug".to_owned()),
        _ => Some("hub=trace,hub_client=trace,hyper=debug,reqwest=debug".to_owned()),
    };
    let Some(filter) = crate::env::get(crate::env::LOG).or(default) else { return };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(printer.colors_errors())
        .with_target(false)
        .without_time()
        .finish();
    // Only fails when one is set already, and then that one is fine.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
