//! Addresses, networks and services as people write them.

use std::{fs, net::IpAddr};

/// An address, and its prefix length where none is given: `10` means 10.0.0.0/8.
pub(super) fn network_address(word: &str) -> Option<(IpAddr, u32)> {
    if let Ok(IpAddr::V6(address)) = word.parse() {
        return Some((address.into(), 128));
    }
    let mut bytes = [0; 4];
    let parts: Vec<&str> = word.split('.').collect();
    if parts.len() > 4 {
        return None;
    }
    for (byte, part) in bytes.iter_mut().zip(&parts) {
        *byte = part.parse().ok()?;
    }
    Some((IpAddr::from(bytes), u32::try_from(parts.len() * 8).ok()?))
}

/// Whether an address has only zeros after so many bits.
pub(super) fn ends_at(address: IpAddr, len: u32) -> bool {
    match address {
        IpAddr::V4(a) => a.to_bits().checked_shl(len).unwrap_or(0) == 0,
        IpAddr::V6(a) => a.to_bits().checked_shl(len).unwrap_or(0) == 0,
    }
}

/// A service's port, as /etc/services has it.
pub(super) fn service(name: &str, protocol: Option<&str>) -> Option<u16> {
    let text = fs::read_to_string("/etc/services").ok()?;
    text.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, port) = (words.next()?, words.next()?);
        let (port, over) = port.split_once('/')?;
        let named = first == name || words.any(|alias| alias == name);
        (named && protocol.is_none_or(|p| p == over)).then(|| port.parse().ok())?
    })
}
