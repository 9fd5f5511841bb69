//! ICMP echo, as `ping` sends it.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::Instant,
};

use super::{Client, PATIENCE};

const ECHO_V4: u8 = 8;
const ECHO_V6: u8 = 128;

/// One echo in flight, over a ping socket (`SOCK_DGRAM`, `IPPROTO_ICMP`), which puts in the id and
/// the checksum by itself.
pub(super) fn request(to: SocketAddr, bytes: usize, client: &mut Client) -> io::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    let (family, protocol, kind) = if to.is_ipv6() {
        (AddressFamily::Inet6, SockProtocol::IcmpV6, ECHO_V6)
    } else {
        (AddressFamily::Inet, SockProtocol::Icmp, ECHO_V4)
    };
    let socket =
        UdpSocket::from(socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)?);
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut echo = vec![0; 8 + bytes];
    echo[0] = kind;
    let mut answer = vec![0; 65536];
    let mut sequence = 0u16;
    while client.goes_on() {
        sequence = sequence.wrapping_add(1);
        echo[6..8].copy_from_slice(&sequence.to_be_bytes());
        let since = Instant::now();
        socket.send(&echo)?;
        match socket.recv(&mut answer) {
            Ok(_) => {
                client.round_trip(since, bytes);
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
