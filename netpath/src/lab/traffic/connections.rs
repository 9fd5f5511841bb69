//! Connections that a host on the way has to track: datagrams to ever other addresses and ports.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Instant,
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use super::{
    super::{Lab, LabError},
    client::Client,
};

/// Where they go to: the servers of topologies throw away what comes to this prefix.
const SINK: u32 = 0xc613_0000; // 198.19.0.0
/// Ports used of each address.
const PORTS: u32 = 50_000;

/// The address of connection `i`.
fn address(i: u32) -> SocketAddr {
    let port = u16::try_from(1024 + i % PORTS).unwrap_or(1024);
    SocketAddr::from((Ipv4Addr::from_bits(SINK + 1 + i / PORTS), port))
}

/// Sends `n` datagrams, each of a connection of its own where `new`. Times are the sender's, of each: its CPU does
/// all the work until the server throws the datagram away.
pub(super) fn send(n: u32, new: bool, client: &mut Client) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // The first one finds out the way and the neighbours.
    socket.send_to(&[0; 64], address(0))?;
    let since = Instant::now();
    for i in 0..n {
        if !client.goes_on() {
            break;
        }
        let before = Instant::now();
        socket.send_to(&[0; 64], address(if new { i } else { 0 }))?;
        client.round_trip(before, 64);
    }
    client.counted.took = Some(since.elapsed());
    Ok(())
}

/// Makes a host track `n` connections, for as long as the lab lives.
pub(in crate::lab) fn fill(lab: &Lab, host: &str, n: u32) -> Result<(), LabError> {
    let tracked = || -> Result<u32, LabError> {
        const FILE: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
        let text = lab.host(host)?.run(|| fs::read_to_string(FILE))?;
        let text = text.map_err(|e| LabError::system(format!("read {FILE}"), e))?;
        Ok(text.trim().parse().unwrap_or(0))
    };
    flush(lab, host)?;
    lab.host(lab.topology().client)?
        .run(|| -> io::Result<()> {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            (0..n).try_for_each(|i| socket.send_to(&[0; 64], address(i)).map(|_| ()))
        })?
        .map_err(|e| LabError::system("fill a host's connection table", e))?;
    let there = tracked()?;
    if there < n {
        return Err(LabError::Lacks(format!(
            "only {there} of {n} connections are tracked: net.netfilter.nf_conntrack_max, one for \
             the whole machine, may be too small"
        )));
    }
    Ok(())
}

/// Makes a host forget all connections.
pub(in crate::lab) fn flush(lab: &Lab, host: &str) -> Result<(), LabError> {
    /// `NFNL_SUBSYS_CTNETLINK`, `IPCTNL_MSG_CT_DELETE`.
    const DELETE: u16 = 1 << 8 | 2;
    /// `NLM_F_REQUEST`, `NLM_F_ACK`.
    const FLAGS: u16 = 1 | 4;
    const NFGENMSG: [u8; 4] = [0; 4];
    let mut message = Vec::with_capacity(20);
    message.extend_from_slice(&20u32.to_ne_bytes());
    message.extend_from_slice(&DELETE.to_ne_bytes());
    message.extend_from_slice(&FLAGS.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&NFGENMSG);
    let answer = lab.host(host)?.run(|| -> nix::Result<i32> {
        let protocol = SockProtocol::NetlinkNetFilter;
        let socket =
            socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
        sendto(fd, &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answer = [0; 256];
        recv(fd, &mut answer, MsgFlags::empty())?;
        // struct nlmsghdr, then struct nlmsgerr begins with the error.
        Ok(i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]))
    })?;
    let failed = |e: io::Error| LabError::system(format!("flush the connections of {host}"), e);
    match answer {
        Ok(0) => Ok(()),
        Ok(errno) => Err(failed(io::Error::from_raw_os_error(-errno))),
        Err(errno) => Err(failed(errno.into())),
    }
}
