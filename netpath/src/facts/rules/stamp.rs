//! Whether the rule sets of the calling thread's namespace have changed, without listing them.
//!
//! Out: a [`Stamp`], which is another one after each change: nf_tables counts its transactions
//! (`NFT_MSG_GETGEN`); of iptables-legacy's tables it says how many entries they have, and how large they
//! are (`IPT_SO_GET_INFO`). Asking takes a few system calls, loads no module and makes no table.

use std::{fs, os::fd::AsRawFd as _, time::Duration};

use nix::{
    libc,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
        socket,
    },
    time::{ClockId, clock_gettime},
};

/// What changes with the rule sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// nf_tables' generation; none where there is no nf_tables.
    generation: Option<u32>,
    /// By family and name, the bytes that describe a table of iptables-legacy.
    tables: Vec<(&'static str, String, Vec<u8>)>,
}

impl Stamp {
    /// Of the calling thread's namespace.
    pub(crate) fn read() -> Self {
        let of = |family: &'static str| {
            legacy_tables(family).into_iter().map(move |name| {
                let info = info(family, &name).unwrap_or_default();
                (family, name, info)
            })
        };
        Self { generation: generation(), tables: of("ip").chain(of("ip6")).collect() }
    }
}

/// The events' clock, ns.
pub(crate) fn now_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| u64::try_from(Duration::from(now).as_nanos()).unwrap_or(u64::MAX))
}

/// Names of iptables-legacy's tables.
pub(super) fn legacy_tables(family: &str) -> Vec<String> {
    let names = fs::read_to_string(format!("/proc/thread-self/net/{family}_tables_names"));
    names.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// nf_tables' generation of this namespace.
fn generation() -> Option<u32> {
    const NFT_MSG_GETGEN: u16 = 16;
    const NFNL_SUBSYS_NFTABLES: u16 = 10;
    const NFTA_GEN_ID: u16 = 1;
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkNetFilter,
    )
    .ok()?;
    // struct nlmsghdr, struct nfgenmsg.
    let mut message = [0u8; 20];
    message[0..4].copy_from_slice(&20u32.to_ne_bytes());
    let kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN;
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&1u16.to_ne_bytes());
    sendto(socket.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty()).ok()?;
    // The kernel has answered by then.
    let mut answer = [0u8; 256];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).ok()?;
    let answer = answer.get(..length)?;
    let short = |at: usize| Some(u16::from_ne_bytes(*answer.get(at..)?.first_chunk()?));
    if short(4)? >> 8 != NFNL_SUBSYS_NFTABLES {
        return None;
    }
    let mut at = 20;
    while let (Some(length), Some(kind)) = (short(at), short(at + 2)) {
        if kind == NFTA_GEN_ID {
            return answer.get(at + 4..)?.first_chunk().map(|id| u32::from_be_bytes(*id));
        }
        at += usize::from(length.max(4)).next_multiple_of(4);
    }
    None
}

/// `struct ipt_getinfo`, or `struct ip6t_getinfo`: hooks, offsets, the number of entries and their size.
fn info(family: &str, table: &str) -> Option<Vec<u8>> {
    const NAME: usize = 32;
    const BYTES: usize = NAME + 4 + 2 * 5 * 4 + 4 + 4;
    // IPT_SO_GET_INFO and IP6T_SO_GET_INFO are the same number.
    const GET_INFO: libc::c_int = 64;
    let (domain, level) = match family {
        "ip" => (AddressFamily::Inet, libc::SOL_IP),
        _ => (AddressFamily::Inet6, libc::SOL_IPV6),
    };
    let socket = socket(domain, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw).ok()?;
    let mut buffer = vec![0u8; BYTES];
    let name = table.as_bytes();
    buffer.get_mut(..name.len().min(NAME - 1))?.copy_from_slice(&name[..name.len().min(NAME - 1)]);
    let mut length = libc::socklen_t::try_from(BYTES).ok()?;
    // SAFETY: the socket is open; the buffer and its length are valid for writes of their sizes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            GET_INFO,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(buffer)
}
