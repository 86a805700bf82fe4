//! How often users and addresses may ask.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::domain::rate::{Rate, Rates};

/// The rates of one source. Without any nothing is limited: that is for whoever is
/// reachable by strangers.
#[derive(Debug, Clone, Copy, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateSettings {
    /// Requests of one user in a minute; 0 is no limit [default: 0]
    #[arg(long, global = true, env = "HUB_SERVER_USER_REQUESTS_PER_MINUTE", value_name = "N")]
    pub user_requests_per_minute: Option<u32>,
    /// Requests from one address in a minute; 0 is no limit [default: 0]
    #[arg(long, global = true, env = "HUB_SERVER_ADDRESS_REQUESTS_PER_MINUTE", value_name = "N")]
    pub address_requests_per_minute: Option<u32>,
    /// Adapters that one user may make in an hour; 0 is no limit [default: 0]
    #[arg(long, global = true, env = "HUB_SERVER_NEW_ADAPTERS_PER_HOUR", value_name = "N")]
    pub new_adapters_per_hour: Option<u32>,
    /// Whether the last address of `X-Forwarded-For` is the client's, because a proxy sets it [default: false]
    #[arg(long, global = true, env = "HUB_SERVER_TRUST_FORWARDED_FOR", value_name = "BOOL")]
    pub trust_forwarded_for: Option<bool>,
}

impl RateSettings {
    /// What `self` says, and where it says nothing, what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            user_requests_per_minute: self.user_requests_per_minute.or(other.user_requests_per_minute),
            address_requests_per_minute: self
                .address_requests_per_minute
                .or(other.address_requests_per_minute),
            new_adapters_per_hour: self.new_adapters_per_hour.or(other.new_adapters_per_hour),
            trust_forwarded_for: self.trust_forwarded_for.or(other.trust_forwarded_for),
        }
    }

    /// With the defaults filled in.
    pub fn resolve(self) -> Rates {
        Rates {
            user: self.user_requests_per_minute.and_then(Rate::per_minute),
            address: self.address_requests_per_minute.and_then(Rate::per_minute),
            new_adapters_per_hour: self.new_adapters_per_hour.filter(|&limit| limit > 0),
            trust_forwarded_for: self.trust_forwarded_for.unwrap_or_default(),
        }
    }
}

impl From<Rates> for RateSettings {
    fn from(rates: Rates) -> Self {
        Self {
            user_requests_per_minute: Some(rates.user.map_or(0, Rate::a_minute)),
            address_requests_per_minute: Some(rates.address.map_or(0, Rate::a_minute)),
            new_adapters_per_hour: Some(rates.new_adapters_per_hour.unwrap_or_default()),
            trust_forwarded_for: Some(rates.trust_forwarded_for),
        }
    }
}
