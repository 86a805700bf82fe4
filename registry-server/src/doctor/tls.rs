//! The certificate: readable, fitting its key, not about to end.

use time::{Duration, OffsetDateTime};

use super::Check;
use crate::{config::Config, tls::Certificate};

/// Whoever renews automatically has done it by then.
const SOON: Duration = Duration::weeks(2);

pub(super) fn examine(config: &Config) -> Check {
    const NAME: &str = "tls";
    let Some(files) = &config.tls else {
        return Check::ok(NAME, "off: the server speaks plain HTTP");
    };
    match Certificate::read(files) {
        Ok(certificate) => judge(certificate.expires, OffsetDateTime::now_utc()),
        Err(error) => Check::fail(
            NAME,
            error.to_string(),
            "`tls.certificate` is a PEM file that begins with the server's own certificate, `tls.key` one with its \
             private key; the user who runs the server must be able to read both",
        ),
    }
}

fn judge(expires: OffsetDateTime, now: OffsetDateTime) -> Check {
    const NAME: &str = "tls";
    let next =
        "renew the certificate; a running server takes the new files within a minute, or at once on SIGHUP";
    let day = expires.date();
    if expires <= now {
        Check::fail(NAME, format!("the certificate expired on {day}"), next)
    } else if expires - now < SOON {
        Check::warn(NAME, format!("the certificate fits its key, but expires on {day}"), next)
    } else {
        Check::ok(NAME, format!("the certificate fits its key, and is valid until {day}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn a_certificate_that_ends_soon_is_a_warning() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let statuses = [30, 3, -1].map(|days| judge(now + Duration::days(days), now).status);
        assert_eq!(statuses, [Status::Ok, Status::Warn, Status::Fail]);
    }
}
