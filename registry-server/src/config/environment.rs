//! Variables that look like settings and are none.

use super::{ConfigError, keys};

const PREFIX: &str = "HUB_SERVER_";
/// Names the file; not a setting of it.
const CONFIG: &str = "HUB_SERVER_CONFIG";

/// Refuses a variable `HUB_SERVER_…` that is not a setting: it would be ignored silently.
pub(super) fn refuse_unknown(names: impl IntoIterator<Item = String>) -> Result<(), ConfigError> {
    let mut known: Vec<String> = keys::all().into_iter().filter_map(|key| key.variable).collect();
    known.push(CONFIG.to_owned());
    let ours = |name: &String| name.starts_with(PREFIX) && !of_kubernetes(name);
    match names.into_iter().filter(ours).find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let nearest = hub_schemas::nearest(&name, known.iter().map(String::as_str));
            Err(ConfigError::UnknownVariable { nearest: nearest.map(str::to_owned), name })
        }
    }
}

/// A Kubernetes service named `hub-server` puts these into every container beside it.
fn of_kubernetes(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    let port = |rest: &str| rest == "PORT" || rest.strip_prefix("PORT_").is_some_and(starts_with_digit);
    rest == "SERVICE_HOST"
        || rest.strip_prefix("SERVICE_").is_some_and(|r| r.starts_with("PORT"))
        || port(rest)
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> bool {
        refuse_unknown(["PATH".to_owned(), name.to_owned()]).is_err()
    }

    #[test]
    fn a_misspelt_variable_is_refused_and_those_of_kubernetes_are_not() {
        assert!(refused("HUB_SERVER_LISSTEN"));
        for name in [
            "HUB_SERVER_LISTEN",
            "HUB_SERVER_PORT_FILE",
            "HUB_SERVER_CONFIG",
            "HUB_SERVER_SERVICE_HOST",
            "HUB_SERVER_SERVICE_PORT_HTTP",
            "HUB_SERVER_PORT",
            "HUB_SERVER_PORT_8080_TCP_ADDR",
        ] {
            assert!(!refused(name), "{name}");
        }
    }
}
