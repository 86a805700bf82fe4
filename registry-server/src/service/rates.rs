//! Who sent how many requests lately, in this process.
//!
//! Kept in memory: asking a database on every request would cost more than what is
//! protected. Behind a balancer each replica allows the whole rate.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use hub_schemas::name::Namespace;

use crate::domain::rate::{Meter, Rate, Rates, Taken};

/// Somebody more than this is remembered only after those who used nothing lately are forgotten.
const MAX_REMEMBERED: usize = 100_000;

/// Remembers and decides.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) rates: Rates,
    users: Meters<Namespace>,
    addresses: Meters<IpAddr>,
}

/// What some clients have used of their rates.
#[derive(Debug)]
pub(crate) struct Meters<K> {
    began: Instant,
    meters: Mutex<HashMap<K, Meter>>,
}

impl<K> Default for Meters<K> {
    fn default() -> Self {
        Self { began: Instant::now(), meters: Mutex::default() }
    }
}

impl Limiter {
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates, users: Meters::default(), addresses: Meters::default() }
    }

    /// Counts a request of a user; `None` where there is no limit.
    pub(crate) fn user(&self, user: &Namespace) -> Option<Taken> {
        self.rates.user.map(|rate| self.users.take(rate, user.clone()))
    }

    /// Counts a request from an address; `None` where there is no limit.
    pub(crate) fn address(&self, address: IpAddr) -> Option<Taken> {
        self.rates.address.map(|rate| self.addresses.take_address(rate, address))
    }
}

impl Meters<IpAddr> {
    /// Counts a request from an address.
    pub(crate) fn take_address(&self, rate: Rate, address: IpAddr) -> Taken {
        self.take(rate, network(address))
    }
}

impl<K: Eq + Hash> Meters<K> {
    /// Counts a request of `who`.
    pub(crate) fn take(&self, rate: Rate, who: K) -> Taken {
        let now = self.began.elapsed();
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        if meters.len() >= MAX_REMEMBERED && !meters.contains_key(&who) {
            meters.retain(|_, meter| !meter.is_full(now));
            if meters.len() >= MAX_REMEMBERED {
                // So many at once are no single client's doing; memory stays bounded.
                meters.clear();
            }
        }
        rate.take(meters.entry(who).or_default(), now)
    }
}

/// What one client has: an IPv4 address, or the half of an IPv6 address that is a network's.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_network_of_ipv6() {
        let of = |text: &str| network(text.parse().expect("an address")).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
