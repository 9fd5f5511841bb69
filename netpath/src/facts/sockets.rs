//! Ports that something listens on in the calling thread's namespace: who answers there, and who asks.
//!
//! TCP says so itself. A UDP socket that is bound and connected to nobody can be a server's or a
//! client's that has yet to choose; the kernel gives clients ports of a range, and those are left out.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader},
    ops::RangeInclusive,
};

use serde::{Deserialize, Serialize};

use crate::packet::{TCP, UDP};

/// `TCP_LISTEN`.
const LISTENS: &str = "0A";
/// `TCP_CLOSE`: what a UDP socket is in that is connected to nobody.
const UNCONNECTED: &str = "07";

/// Ports by protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listening {
    pub tcp: BTreeSet<u16>,
    pub udp: BTreeSet<u16>,
}

impl Listening {
    /// Whether something listens there.
    pub fn on(&self, proto: u8, port: u16) -> bool {
        match proto {
            TCP => self.tcp.contains(&port),
            UDP => self.udp.contains(&port),
            _ => false,
        }
    }
}

pub(super) fn read() -> Listening {
    let mut found = Listening::default();
    for name in ["tcp", "tcp6"] {
        // Those that listen come first; the others can be very many.
        let listens = |end: &(u16, String)| end.1 == LISTENS;
        found.tcp.extend(ends(open(name)).take_while(listens).map(|(port, _)| port));
    }
    let clients = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let clients = clients.ok().as_deref().and_then(range);
    for name in ["udp", "udp6"] {
        let servers = ends(open(name)).filter(|(_, state)| state == UNCONNECTED);
        let ports = servers.map(|(port, _)| port);
        found.udp.extend(ports.filter(|port| clients.as_ref().is_none_or(|c| !c.contains(port))));
    }
    found
}

fn open(name: &str) -> Option<BufReader<File>> {
    File::open(format!("/proc/thread-self/net/{name}")).ok().map(BufReader::new)
}

/// Local port and state of each socket, of a table as `/proc/net/tcp` is.
fn ends(table: Option<impl BufRead>) -> impl Iterator<Item = (u16, String)> {
    let lines = table.into_iter().flat_map(BufRead::lines).map_while(Result::ok);
    lines.skip(1).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (port != 0).then(|| (port, state.to_owned()))
    })
}

/// `32768 60999`, with a tab between.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_whitespace();
    let (first, last) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_ports_of_one_state() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n\
            \x20  1: 0200000A:D431 0100000A:0050 01 00000000:00000000 00:00000000 00000000\n\
            \x20  2: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 0A 0\n";
        let found: Vec<_> = ends(Some(text.as_bytes())).collect();
        let found: Vec<_> = found.iter().map(|(port, state)| (*port, state.as_str())).collect();
        assert_eq!(found, [(8080, LISTENS), (0xd431, "01"), (53, LISTENS)]);
    }

    #[test]
    fn the_range_that_clients_get() {
        assert_eq!(range("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(range("none"), None);
    }

    #[test]
    fn a_socket_that_listens_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = socket.local_addr().expect("its address").port();
        let listening = read();
        assert!(listening.on(TCP, port) && !listening.on(UDP, port));
    }
}
