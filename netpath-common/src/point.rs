//! Probe points: the places in the kernel where a timestamp is taken.
//!
//! Three kinds share one number space, the `point` of a wire event:
//! tracepoints ([`TRACEPOINTS`]), the slots of netfilter BPF links ([`HOOK_SLOT`], which slot and
//! hook stand in the event's `aux`, see [`HookAux`]), and functions (numbered by the hop table).

/// What a tracepoint's program reads from its arguments, and how the packet can be known there.
/// Each has a function of the same name in `netpath-ebpf/src/tracepoint.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// `(skb)` on its way out: the device is the skb's, headers are found by their offsets.
    Sending,
    /// `(skb)` on its way in: the device is the skb's, the network header is at `skb->data`.
    Receiving,
    /// `(skb, dev)`: handed to the driver of `dev`.
    Starting,
    /// `(skb, rc, dev, len)`: the driver of `dev` has returned `rc`. The skb may be gone.
    Transmitted,
    /// `(qdisc, txq, skb)`.
    Enqueued,
    /// `(qdisc, txq, packets, skb)`: the skb may be NULL.
    Dequeued,
    /// `(sk)`: the packet at hand has been put into this socket's queue.
    Ready,
    /// `(sk, ret, flags)`: a process has received from this socket; about no packet by itself.
    Received,
    /// `(skb, len)`: its data goes to user space.
    Copied,
    /// `(skb, …)`: freed after use.
    Consumed,
    /// `(skb, location, reason)`: freed because it was dropped.
    Dropped,
}

/// A kernel tracepoint with a program.
#[derive(Debug)]
pub struct Tracepoint {
    pub point: u16,
    /// The name in `TRACE_EVENT`, and of `btf_trace_NAME` in BTF.
    pub name: &'static str,
    pub body: Body,
    /// Which argument is the struct of `subject`, from 0. Checked against BTF before loading.
    pub subject_arg: u8,
    /// The struct whose pointer the program must be given.
    pub subject: &'static str,
    /// What is known of the packet at this moment.
    pub what: &'static str,
}

pub const NET_DEV_QUEUE: u16 = 1;
pub const QDISC_ENQUEUE: u16 = 2;
pub const QDISC_DEQUEUE: u16 = 3;
pub const NET_DEV_START_XMIT: u16 = 4;
pub const NET_DEV_XMIT: u16 = 5;
pub const NETIF_RX: u16 = 6;
pub const NAPI_GRO_RECEIVE_ENTRY: u16 = 7;
pub const NETIF_RECEIVE_SKB: u16 = 8;
pub const SKB_COPY_DATAGRAM_IOVEC: u16 = 9;
pub const CONSUME_SKB: u16 = 10;
pub const KFREE_SKB: u16 = 11;
/// `aux`: the socket's local port; `arg`: see [`ReadyArg`].
pub const SK_DATA_READY: u16 = 12;
/// `aux`: bytes received; `arg`: the socket's address. Stands under the socket's address where
/// other events have that of an sk_buff.
pub const SOCK_RECV_LENGTH: u16 = 13;
/// Points below are tracepoints.
pub const TRACEPOINT_END: u16 = 32;
/// A netfilter BPF link.
pub const HOOK_SLOT: u16 = 32;
/// Functions from here on: `FUNCTION_FIRST + 2 × index`, plus 1 for the return.
pub const FUNCTION_FIRST: u16 = 64;
/// Points that loss is counted for.
pub const POINTS: usize = 256;

/// Every tracepoint that netpath uses, in the order in which they are attached: what ends a wait
/// before what begins it, so that nobody waits for an end that was not seen.
pub const TRACEPOINTS: &[Tracepoint] = &[
    Tracepoint {
        point: NET_DEV_QUEUE,
        name: "net_dev_queue",
        body: Body::Sending,
        subject_arg: 0,
        subject: "sk_buff",
        what: "reached a device's transmit side (__dev_queue_xmit)",
    },
    Tracepoint {
        point: QDISC_ENQUEUE,
        name: "qdisc_enqueue",
        body: Body::Enqueued,
        subject_arg: 2,
        subject: "sk_buff",
        what: "entered a queueing discipline (dev_qdisc_enqueue)",
    },
    Tracepoint {
        point: QDISC_DEQUEUE,
        name: "qdisc_dequeue",
        body: Body::Dequeued,
        subject_arg: 3,
        subject: "sk_buff",
        what: "left a queueing discipline (dequeue_skb)",
    },
    Tracepoint {
        point: NET_DEV_START_XMIT,
        name: "net_dev_start_xmit",
        body: Body::Starting,
        subject_arg: 0,
        subject: "sk_buff",
        what: "handed to the driver (xmit_one)",
    },
    Tracepoint {
        point: NET_DEV_XMIT,
        name: "net_dev_xmit",
        body: Body::Transmitted,
        subject_arg: 0,
        subject: "sk_buff",
        what: "the driver returned (xmit_one)",
    },
    Tracepoint {
        point: NETIF_RX,
        name: "netif_rx",
        body: Body::Receiving,
        subject_arg: 0,
        subject: "sk_buff",
        what: "put on a CPU's backlog (netif_rx_internal)",
    },
    Tracepoint {
        point: NAPI_GRO_RECEIVE_ENTRY,
        name: "napi_gro_receive_entry",
        body: Body::Receiving,
        subject_arg: 0,
        subject: "sk_buff",
        what: "entered GRO (napi_gro_receive)",
    },
    Tracepoint {
        point: NETIF_RECEIVE_SKB,
        name: "netif_receive_skb",
        body: Body::Receiving,
        subject_arg: 0,
        subject: "sk_buff",
        what: "the softirq took it up (__netif_receive_skb_core)",
    },
    Tracepoint {
        point: SKB_COPY_DATAGRAM_IOVEC,
        name: "skb_copy_datagram_iovec",
        body: Body::Copied,
        subject_arg: 0,
        subject: "sk_buff",
        what: "its data goes to the receiving process (skb_copy_datagram_iter)",
    },
    Tracepoint {
        point: SOCK_RECV_LENGTH,
        name: "sock_recv_length",
        body: Body::Received,
        subject_arg: 0,
        subject: "sock",
        what: "the receiving process has its data (sock_recvmsg)",
    },
    Tracepoint {
        point: SK_DATA_READY,
        name: "sk_data_ready",
        body: Body::Ready,
        subject_arg: 0,
        subject: "sock",
        what: "lies in its socket's queue, whose owner is being woken (sock_def_readable)",
    },
    Tracepoint {
        point: CONSUME_SKB,
        name: "consume_skb",
        body: Body::Consumed,
        subject_arg: 0,
        subject: "sk_buff",
        what: "freed after use (consume_skb)",
    },
    Tracepoint {
        point: KFREE_SKB,
        name: "kfree_skb",
        body: Body::Dropped,
        subject_arg: 0,
        subject: "sk_buff",
        what: "freed because it was dropped, with the reason (kfree_skb_reason)",
    },
];

/// The row of this point.
pub const fn tracepoint(point: u16) -> &'static Tracepoint {
    let mut i = 0;
    while i < TRACEPOINTS.len() {
        if TRACEPOINTS[i].point == point {
            return &TRACEPOINTS[i];
        }
        i += 1;
    }
    panic!("not a tracepoint")
}

/// A netfilter hook of the `inet` families, with the kernel's number (`enum nf_inet_hooks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hook {
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

impl Hook {
    /// In the kernel's order.
    pub const ALL: [Self; 5] =
        [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "PREROUTING",
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::Output => "OUTPUT",
            Self::Postrouting => "POSTROUTING",
        }
    }

    pub const fn from_number(n: u8) -> Option<Self> {
        if (n as usize) < Self::ALL.len() { Some(Self::ALL[n as usize]) } else { None }
    }
}

/// A protocol family with netfilter hooks that links are attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    V4 = 0,
    V6 = 1,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The kernel's number, `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub const fn nfproto(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Programs for netfilter links, one per slot: how many links one hook can hold at most.
pub const HOOK_SLOTS: u8 = 16;

/// The `aux` of a [`HOOK_SLOT`] event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookAux {
    /// The how-manieth link of its hook, from 0.
    pub slot: u8,
    /// The kernel's hook number.
    pub hook: u8,
    /// 0 for IPv4, 1 for IPv6, as [`Family`].
    pub family: u8,
    /// `enum ip_conntrack_info` where a connection is attached.
    pub ctinfo: Option<u8>,
}

impl HookAux {
    const NO_CT: u8 = 7;

    pub const fn pack(self) -> u16 {
        let ct = match self.ctinfo {
            Some(ct) => ct,
            None => Self::NO_CT,
        };
        (self.slot as u16 & 0xf)
            | ((self.hook as u16 & 7) << 4)
            | ((self.family as u16 & 1) << 7)
            | ((ct as u16 & 7) << 8)
    }

    pub const fn unpack(aux: u16) -> Self {
        let ct = ((aux >> 8) & 7) as u8;
        Self {
            slot: (aux & 0xf) as u8,
            hook: ((aux >> 4) & 7) as u8,
            family: ((aux >> 7) & 1) as u8,
            ctinfo: if ct == Self::NO_CT { None } else { Some(ct) },
        }
    }
}

/// `ctinfo` of a packet that opens a connection (`IP_CT_NEW`).
pub const IP_CT_NEW: u8 = 2;
/// `ctinfo` from here on means the reply direction (`IP_CT_IS_REPLY`).
pub const IP_CT_IS_REPLY: u8 = 3;

/// The `arg` of a [`SK_DATA_READY`] event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyArg {
    /// The low half of the socket's address.
    pub sk: u32,
    /// Datagrams in the socket's queue, this one included; 0 where that is not known.
    pub queued: u32,
}

impl ReadyArg {
    pub const fn pack(self) -> u64 {
        self.sk as u64 | ((self.queued as u64) << 32)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves are cut apart")]
    pub const fn unpack(arg: u64) -> Self {
        Self { sk: arg as u32, queued: (arg >> 32) as u32 }
    }
}

/// One registered netfilter hook, as read from `struct nf_hook_entries`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct HookEntry {
    /// Address of its function.
    pub function: u64,
    pub priority: i32,
    pub reserved: u32,
}

/// Hooks that are read per hook point at most.
pub const HOOK_ENTRIES: usize = 24;

/// The hooks registered at one hook point of the calling thread's network namespace.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HookList {
    /// How many there are; may exceed what fits into `entries`.
    pub count: u32,
    pub reserved: u32,
    pub entries: [HookEntry; HOOK_ENTRIES],
}

/// Hook points read by the `netns_hooks` program: families × hooks, family first.
pub const HOOK_LISTS: usize = Family::ALL.len() * Hook::ALL.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracepoints_are_unique_and_in_range() {
        for (i, a) in TRACEPOINTS.iter().enumerate() {
            assert!(a.point > 0 && a.point < TRACEPOINT_END);
            for b in &TRACEPOINTS[i + 1..] {
                assert!(a.point != b.point && a.name != b.name);
            }
        }
    }

    #[test]
    fn hook_aux_survives_packing() {
        for slot in 0..HOOK_SLOTS {
            for hook in 0..5 {
                for family in 0..2 {
                    for ctinfo in [None, Some(0), Some(2), Some(4)] {
                        let aux = HookAux { slot, hook, family, ctinfo };
                        assert_eq!(HookAux::unpack(aux.pack()), aux);
                    }
                }
            }
        }
    }
}
