//! The program, its address and the disk.

use std::{fs, io, net::TcpListener, path::Path};

use super::Check;
use crate::{config::Config, storage::Location};

/// Less than this and soon nobody can push.
const LITTLE_SPACE: u64 = 2 << 30;
/// Less than this and the database itself may stop.
const NO_SPACE: u64 = 64 << 20;

pub(super) fn version() -> Check {
    Check::ok("version", format!("hub-server {}", env!("CARGO_PKG_VERSION")))
}

pub(super) fn listen(config: &Config) -> Check {
    const NAME: &str = "address";
    let address = config.listen;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    match TcpListener::bind(address) {
        Ok(_) if config.tls.is_none() && !address.ip().is_loopback() => Check::warn(
            NAME,
            format!("http://{address} is free, and open to the network without TLS"),
            "set `tls.certificate` and `tls.key`, or listen on 127.0.0.1 behind a proxy that ends TLS: tokens \
             travel in the clear otherwise",
        ),
        Ok(_) => Check::ok(NAME, format!("{scheme}://{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Check::warn(
            NAME,
            format!("{address} is in use"),
            "nothing to do if this registry serves there now; otherwise choose another with `listen`",
        ),
        Err(error) => Check::fail(NAME, format!("can't listen on {address}: {error}"), "correct `listen`"),
    }
}

pub(super) fn data_folder(config: &Config) -> Check {
    const NAME: &str = "data folder";
    let folder = &config.data;
    let shown = folder.display();
    if !folder.exists() {
        return Check::ok(NAME, format!("`{shown}` is not there yet; the server makes it"));
    }
    // A name of its own: a server may work in this folder.
    let probe = folder.join(format!("doctor-{}", std::process::id()));
    let written = fs::write(&probe, b"writable?").and_then(|()| fs::remove_file(&probe));
    match written {
        Ok(()) => Check::ok(NAME, format!("`{shown}` is writable")),
        Err(error) => Check::fail(
            NAME,
            format!("can't write in `{shown}`: {error}"),
            "give the folder to the user who runs the server, or name another one with `data`",
        ),
    }
}

/// How much fits where the embedded database and local files lie.
pub(super) fn free_space(config: &Config) -> Option<Check> {
    if config.database_url.is_some() && config.storage != Location::Files {
        return None;
    }
    let there = config.data.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("."));
    let path = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    match rustix::fs::statvfs(path) {
        Ok(found) => Some(judge_space(found.f_bavail * found.f_frsize)),
        Err(error) => Some(Check::warn(
            "disk",
            format!("can't ask for the free space of `{}`: {error}", path.display()),
            "check that the user who runs the server may read the folder",
        )),
    }
}

fn judge_space(free: u64) -> Check {
    const NAME: &str = "disk";
    let found = format!("{} MiB free", free >> 20);
    let next = "free some space or move the data folder; uploads are refused with 507 once it is full, and \
                nothing is lost";
    match free {
        0..NO_SPACE => Check::fail(NAME, found, next),
        NO_SPACE..LITTLE_SPACE => Check::warn(NAME, found, next),
        _ => Check::ok(NAME, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn a_disk_that_fills_is_a_warning_before_it_is_a_failure() {
        let statuses = [10 << 30, 1 << 30, 1 << 20].map(|free| judge_space(free).status);
        assert_eq!(statuses, [Status::Ok, Status::Warn, Status::Fail]);
    }
}
