//! `hub-server doctor`: is everything in place that the server needs, and if not, what
//! is the next step. It changes nothing but one small object that it removes again, and
//! runs beside a server.

mod database;
mod machine;
mod mirrors;
mod storage;
mod tls;

use serde::Serialize;

use crate::{
    admin::{self, AdminError, Format},
    config::Config,
};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well.
    Ok,
    /// Works, but not as it could.
    Warn,
    /// Something will not work.
    Fail,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), next: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, status: Status::Warn, found: found.into(), next: Some(next.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, status: Status::Fail, found: found.into(), next: Some(next.into()) }
    }
}

/// Every check, in the order in which to repair what they find.
pub async fn examine(config: &Config) -> Vec<Check> {
    let mut report = vec![machine::version(), machine::listen(config), machine::data_folder(config)];
    report.extend(machine::free_space(config));
    let (database, of_database) = database::examine(config).await;
    report.extend(of_database);
    report.push(storage::examine(config).await);
    report.push(storage::identity(config, database.as_ref()).await);
    report.push(tls::examine(config));
    report.extend(mirrors::examine(config).await);
    if let Some(database) = database {
        database.close().await;
    }
    report
}

/// Prints a report; `false` when a check failed.
pub fn print(report: &[Check], format: Format) -> Result<bool, AdminError> {
    admin::rows(format, ["", "CHECK", "FOUND"], report, |check| {
        let status = match check.status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        [status.to_owned(), check.name.to_owned(), check.found.clone()]
    })?;
    if format == Format::Text {
        for check in report.iter().filter(|check| check.next.is_some()) {
            let next = check.next.as_deref().unwrap_or_default();
            std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("\nhint: {}: {next}\n", check.name),
            )?;
        }
    }
    Ok(report.iter().all(|check| check.status != Status::Fail))
}
