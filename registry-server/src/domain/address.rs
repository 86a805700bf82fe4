//! Which addresses a server may be sent to by its users: those of the public internet.
//!
//! Whoever names an address for a webhook makes the server send a request from inside
//! its network. What must not be reached that way are the special-purpose blocks of
//! IANA's registries (RFC 6890), and addresses of IPv6 that carry one of IPv4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        // "This network", and what was never given out.
        || a == 0
        || a >= 240
        // Carriers' own (RFC 6598), protocol assignments (RFC 6890), 6to4 relays (RFC 7526),
        // benchmarks (RFC 2544).
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Only 2000::/3 is given out as global unicast (RFC 4291); NAT64 carries IPv4 (RFC 6052).
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(last_four(address));
    }
    if segments[0] & 0xe000 != 0x2000 {
        return false;
    }
    match segments {
        // 6to4 carries IPv4 (RFC 3056).
        [0x2002, high, low, ..] => is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        // Teredo and other protocols of 2001::/23, documentation 2001:db8::/32 and 3fff::/20.
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [first, second, ..] => first != 0x3fff || second >= 0x1000,
    }
}

fn last_four(address: Ipv6Addr) -> Ipv4Addr {
    // The low 32 bits.
    Ipv4Addr::from_bits((address.to_bits() & u128::from(u32::MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().expect(text))
    }

    #[test]
    fn the_public_internet_is_reachable() {
        for address in
            ["1.1.1.1", "100.63.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "64:ff9b::101:101"]
        {
            assert!(public(address), "{address}");
        }
        assert!(public("2002:101:101::1"), "6to4 of 1.1.1.1");
    }

    #[test]
    fn what_lies_inside_a_network_is_not() {
        for address in [
            "127.0.0.1",
            "127.1.2.3",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }
}
