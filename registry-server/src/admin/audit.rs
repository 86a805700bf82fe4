//! `hub-server audit …`

use super::{AdminError, print};
use crate::{app::App, db::audit};

/// Records that are read at once.
const PAGE: u32 = 1000;

/// Prints every record of the audit log, oldest first, one JSON object a line.
pub async fn export_audit(app: &App, after: Option<&str>) -> Result<(), AdminError> {
    let mut after = after.unwrap_or_default().to_owned();
    loop {
        let records = audit::page(&app.db, &after, "", PAGE).await?;
        let Some(last) = records.last() else { return Ok(()) };
        last.id.clone_into(&mut after);
        for record in &records {
            print(&serde_json::to_string(record).map_err(std::io::Error::from)?)?;
        }
    }
}
