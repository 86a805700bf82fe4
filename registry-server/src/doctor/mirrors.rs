//! The registries that are mirrored: do they answer.

use super::Check;
use crate::{config::Config, mirror::Mirrors};

pub(super) async fn examine(config: &Config) -> Vec<Check> {
    const NAME: &str = "mirror";
    let mirrors = match Mirrors::new(&config.mirrors) {
        Ok(mirrors) => mirrors,
        Err(error) => {
            return vec![Check::fail(
                NAME,
                error.to_string(),
                "check the certificates that this system trusts",
            )];
        }
    };
    let mut report = Vec::new();
    for upstream in mirrors.all() {
        report.push(match upstream.probe().await {
            Ok(()) => Check::ok(NAME, format!("`{}` answers", upstream.name())),
            // What is here is served all the same.
            Err(error) => Check::warn(
                NAME,
                error,
                "check `mirrors.url` and `mirrors.token_file`; until it answers, what was fetched before is served \
                 with its age",
            ),
        });
    }
    report
}
