//! `hub doctor`: is everything in place, and if not, what is the next step.

mod checks;
mod machine;

use serde::Serialize;

use crate::{args::DoctorArgs, context::Context, failure::Exit, output::Table};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// Works, but not as it could.
    Warn,
    /// Something will not work.
    Fail,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    found: String,
    /// What to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), next: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, status: Status::Warn, found: found.into(), next: Some(next.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, next: Option<String>) -> Self {
        Self { name, status: Status::Fail, found: found.into(), next }
    }
}

/// Checks and reports; a check that fails makes it end with 1.
pub(crate) fn run(context: &Context, args: &DoctorArgs) -> anyhow::Result<Exit> {
    let report = [
        checks::version(),
        checks::configuration(context),
        checks::registry(context),
        checks::token(context),
        checks::cache(context),
        checks::base(context, args.base.as_deref()),
        machine::check(),
    ];
    if context.printer.is_json() {
        context.printer.json(&report)?;
    } else {
        let mut table = Table::new(&["", "CHECK", "FOUND"]);
        for check in &report {
            let status = match check.status {
                Status::Ok => "ok",
                Status::Warn => "warn",
                Status::Fail => "FAIL",
            };
            table.row([status.to_owned(), check.name.to_owned(), check.found.clone()]);
        }
        context.printer.table(&table)?;
        let next =
            report.iter().filter_map(|check| Some(format!("{}: {}", check.name, check.next.as_ref()?)));
        context.printer.hints(&next.collect::<Vec<_>>());
    }
    let failed = report.iter().any(|check| check.status == Status::Fail);
    Ok(if failed { Exit::Failure } else { Exit::Success })
}
