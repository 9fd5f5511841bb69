//! What the tests of several stages share: chunks made by hand, and a topology to go with them.

use std::collections::BTreeMap;

use netpath_common::{
    place::DevId,
    point::{
        HOOK_SLOT, Hook, HookAux, NET_DEV_QUEUE, NET_DEV_START, NETIF_RECEIVE, NETIF_RX, ReadyArg,
        SK_READY, SOCK_RECV,
    },
    wire::{
        ABI, CHUNK_ALONE, ChunkHeader, FRAGMENT, KIND_BYTES, KIND_SEGMENT, KIND_SKB, KIND_TUPLE4,
        SKB_AT_HAND, SKB_SWITCHED, ZEROS,
    },
};

use crate::{
    decode,
    flight::{Flight, Mark},
    hooks::{HookPlan, Registered},
    packet::{Headers, Tuple, UDP},
    pipeline::Pipeline,
    topo::{Chosen, Device, Host, Place, Topology},
};

/// Namespaces of the test topology.
pub(crate) const CLIENT: u32 = 11;
pub(crate) const HOST: u32 = 12;
pub(crate) const SERVER: u32 = 13;

pub(crate) const CLIENT_ETH0: Place = Place { netns: CLIENT, ifindex: 2 };
pub(crate) const VETH0: Place = Place { netns: HOST, ifindex: 2 };
pub(crate) const BR0: Place = Place { netns: HOST, ifindex: 3 };
pub(crate) const UP0: Place = Place { netns: HOST, ifindex: 4 };
pub(crate) const SERVER_ETH0: Place = Place { netns: SERVER, ifindex: 2 };

/// A device that is up, and hangs together with none.
pub(crate) fn device(ifindex: u32, name: &str, kind: &str) -> Device {
    Device {
        ifindex,
        name: name.to_owned(),
        kind: kind.to_owned(),
        master: None,
        bridge_port: false,
        qdisc: "noqueue".to_owned(),
        up: true,
        mtu: 1500,
        addresses: Vec::new(),
        peer: None,
        redirect: None,
    }
}

/// client/eth0 — host/veth0 in br0 — host/up0 — server/eth0, asked for veth0.
pub(crate) fn topology() -> Topology {
    let device = |place: Place, name: &str, kind: &str, master: Option<u32>| Device {
        master,
        bridge_port: master.is_some(),
        ..device(place.ifindex, name, kind)
    };
    let host = |netns: u32, name: &str, devices: Vec<Device>| Host {
        netns,
        name: name.to_owned(),
        owner: None,
        devices: devices.into_iter().map(|d| (d.ifindex, d)).collect(),
        forwards: netns == HOST,
        bridge_nf: false,
        met: false,
        beside: false,
        found: None,
        handle: None,
    };
    let hosts = [
        host(CLIENT, "client", vec![device(CLIENT_ETH0, "eth0", "veth", None)]),
        host(
            HOST,
            "host",
            vec![
                device(VETH0, "veth0", "veth", Some(BR0.ifindex)),
                device(BR0, "br0", "bridge", None),
                device(UP0, "up0", "veth", None),
            ],
        ),
        host(SERVER, "server", vec![device(SERVER_ETH0, "eth0", "veth", None)]),
    ];
    Topology {
        hosts: hosts.into_iter().map(|h| (h.netns, h)).collect::<BTreeMap<_, _>>(),
        chain: vec![CLIENT_ETH0, VETH0, BR0, UP0, SERVER_ETH0],
        chosen: vec![Chosen { focus: VETH0, inside: Some(CLIENT_ETH0), outside: Some(VETH0) }],
        ..Topology::default()
    }
}

/// Conntrack and NAT on the host, as MASQUERADE has them, and a filter chain.
pub(crate) fn hooks() -> HookPlan {
    use netpath_common::point::Family;
    let hook = |function: &str, priority| Registered { function: function.to_owned(), priority };
    let mut plan = HookPlan::default();
    for netns in [CLIENT, SERVER] {
        for at in [Hook::Output, Hook::Input] {
            plan.add(netns, Family::V4, at, &[]);
        }
    }
    plan.add(
        HOST,
        Family::V4,
        Hook::Prerouting,
        &[hook("ipv4_conntrack_in", -200), hook("nf_nat_ipv4_pre_routing", -100)],
    );
    plan.add(HOST, Family::V4, Hook::Forward, &[hook("nft_do_chain_ipv4", 0)]);
    plan.add(
        HOST,
        Family::V4,
        Hook::Postrouting,
        &[hook("nf_nat_ipv4_out", 100), hook("nf_confirm", i32::MAX)],
    );
    plan
}

/// A UDP packet of the client's.
pub(crate) fn headers(id: u16) -> Headers {
    Headers {
        tuple: Some(tuple([172, 31, 0, 2], [198, 18, 0, 2], 4000, 9000)),
        ip_id: id,
        payload: 100,
        len: 128,
        ..Headers::default()
    }
}

pub(crate) fn tuple(src: [u8; 4], dst: [u8; 4], sport: u16, dport: u16) -> Tuple {
    Tuple::v4(UDP, src, dst, sport.to_be_bytes(), dport.to_be_bytes())
}

/// An event: point, aux, argument.
pub(crate) type Ev = (u16, u16, u64);

pub(crate) fn at_dev(point: u16, place: Place) -> Ev {
    (point, 0, DevId::from(place).to_arg())
}

pub(crate) fn at_hook(place: Place, hook: Hook, slot: u8) -> Ev {
    let aux = HookAux { slot, hook: hook as u8, family: 0, ctinfo: None };
    (HOOK_SLOT, aux.pack(), DevId::from(place).to_arg())
}

pub(crate) fn ready(port: u16, sk: u32, queued: u32) -> Ev {
    (SK_READY, port, ReadyArg { sk, queued }.pack())
}

/// A request from the client's socket to the server's, one event each 100 ns.
pub(crate) fn request() -> Vec<Ev> {
    vec![
        at_hook(CLIENT_ETH0, Hook::Output, 0),
        at_dev(NET_DEV_QUEUE, CLIENT_ETH0),
        at_dev(NET_DEV_START, CLIENT_ETH0),
        at_dev(NETIF_RX, VETH0),
        at_dev(NETIF_RECEIVE, VETH0),
        at_dev(NETIF_RECEIVE, BR0),
        at_hook(BR0, Hook::Prerouting, 0),
        at_hook(BR0, Hook::Prerouting, 1),
        at_hook(BR0, Hook::Prerouting, 2),
        at_hook(UP0, Hook::Forward, 0),
        at_hook(UP0, Hook::Forward, 1),
        at_hook(UP0, Hook::Postrouting, 0),
        at_hook(UP0, Hook::Postrouting, 1),
        at_dev(NET_DEV_QUEUE, UP0),
        at_dev(NET_DEV_START, UP0),
        at_dev(NETIF_RX, SERVER_ETH0),
        at_dev(NETIF_RECEIVE, SERVER_ETH0),
        at_hook(SERVER_ETH0, Hook::Input, 0),
        ready(9000, 0x77, 1),
    ]
}

/// What reads the request.
pub(crate) fn received(sk: u32, bytes: u16) -> Ev {
    (SOCK_RECV, bytes, u64::from(sk))
}

/// A chunk in the making.
#[derive(Debug)]
pub(crate) struct Chunk {
    header: ChunkHeader,
    cells: Vec<[u8; 16]>,
    now_ns: u64,
}

impl Chunk {
    /// A chunk of this CPU whose first event is at `start_ns`.
    pub(crate) fn new(cpu: u16, seq: u32, start_ns: u64) -> Self {
        let header =
            ChunkHeader { base_ns: start_ns, seq, cpu, abi: ABI, ..ChunkHeader::default() };
        Self { header, cells: Vec::new(), now_ns: start_ns }
    }

    pub(crate) fn lost(mut self, lost: u32) -> Self {
        self.header.lost = lost;
        self
    }

    /// Its program had interrupted another one.
    pub(crate) fn alone(mut self) -> Self {
        self.header.flags = CHUNK_ALONE;
        self
    }

    /// So many events were lost by programs that interrupted others.
    pub(crate) fn lost_alone(mut self, lost: u64) -> Self {
        self.header.reserved = lost;
        self
    }

    /// From here on, events are about this sk_buff.
    pub(crate) fn skb(mut self, addr: u64, headers: Option<&Headers>) -> Self {
        let mut cell = [0; 16];
        cell[0..2].copy_from_slice(&KIND_SKB.to_ne_bytes());
        cell[8..16].copy_from_slice(&addr.to_ne_bytes());
        if let Some(h) = headers {
            cell[2..4].copy_from_slice(&h.gso_segs.to_ne_bytes());
            cell[4..8].copy_from_slice(&h.len.to_ne_bytes());
        } else {
            cell[4..8].copy_from_slice(&SKB_AT_HAND.to_ne_bytes());
        }
        self.cells.push(cell);
        if let Some(h) = headers {
            self.headers(h);
        }
        self
    }

    /// The same, though the CPU has it at hand: its headers are read again.
    pub(crate) fn again(mut self, addr: u64, headers: &Headers) -> Self {
        let at = self.cells.len();
        self = self.skb(addr, Some(headers));
        self.cells[at][4..8].copy_from_slice(&(headers.len | SKB_AT_HAND).to_ne_bytes());
        self
    }

    /// From here on, events are about this sk_buff, which the CPU had left.
    pub(crate) fn resumed(mut self, addr: u64) -> Self {
        self = self.skb(addr, None);
        if let Some(cell) = self.cells.last_mut() {
            cell[4..8].fill(0);
        }
        self
    }

    /// From here on, events are about the sk_buff at hand; the CPU has switched tasks.
    pub(crate) fn switched(mut self, addr: u64) -> Self {
        self = self.skb(addr, None);
        if let Some(cell) = self.cells.last_mut() {
            cell[4..8].copy_from_slice(&(SKB_AT_HAND | SKB_SWITCHED).to_ne_bytes());
        }
        self
    }

    fn headers(&mut self, h: &Headers) {
        let Some(t) = h.tuple else { return };
        let (std::net::IpAddr::V4(src), std::net::IpAddr::V4(dst)) = (t.src, t.dst) else { return };
        let mut cell = [0; 16];
        cell[0..2].copy_from_slice(&KIND_TUPLE4.to_ne_bytes());
        (cell[2], cell[3]) = (t.proto, h.flags);
        cell[4..8].copy_from_slice(&src.octets());
        cell[8..12].copy_from_slice(&dst.octets());
        cell[12..14].copy_from_slice(&t.sport.to_be_bytes());
        cell[14..16].copy_from_slice(&t.dport.to_be_bytes());
        self.cells.push(cell);
        let mut cell = [0; 16];
        cell[0..2].copy_from_slice(&KIND_SEGMENT.to_ne_bytes());
        cell[2..4].copy_from_slice(&h.ip_id.to_ne_bytes());
        let payload =
            h.payload | if h.fragment { FRAGMENT } else { 0 } | if h.zeros { ZEROS } else { 0 };
        cell[4..8].copy_from_slice(&payload.to_ne_bytes());
        cell[8..12].copy_from_slice(&h.seq.to_ne_bytes());
        cell[12..16].copy_from_slice(&(h.ack | h.fragment_at).to_ne_bytes());
        self.cells.push(cell);
    }

    /// The sk_buff's headers themselves, `link` of their bytes the link header's.
    pub(crate) fn captured(mut self, link: u8, bytes: &[u8]) -> Self {
        let mut cell = [0; 16];
        cell[0..2].copy_from_slice(&KIND_BYTES.to_ne_bytes());
        (cell[2], cell[3]) = (link, u8::try_from(bytes.len()).unwrap());
        self.cells.push(cell);
        for part in bytes.chunks(16) {
            let mut cell = [0xee; 16];
            cell[..part.len()].copy_from_slice(part);
            self.cells.push(cell);
        }
        self
    }

    /// Adds an event now, and lets `ns` pass.
    pub(crate) fn event(mut self, ev: Ev, ns: u64) -> Self {
        let mut cell = [0; 16];
        cell[0..2].copy_from_slice(&ev.0.to_ne_bytes());
        cell[2..4].copy_from_slice(&ev.1.to_ne_bytes());
        let dt = u32::try_from(self.now_ns - self.header.base_ns).unwrap();
        cell[4..8].copy_from_slice(&dt.to_ne_bytes());
        cell[8..16].copy_from_slice(&ev.2.to_ne_bytes());
        self.cells.push(cell);
        self.now_ns += ns;
        self
    }

    pub(crate) fn events(self, events: &[Ev], each_ns: u64) -> Self {
        events.iter().fold(self, |chunk, ev| chunk.event(*ev, each_ns))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let cells = u16::try_from(self.cells.len()).unwrap();
        let mut out = decode::header_bytes(&ChunkHeader { cells, ..self.header }).to_vec();
        out.extend(self.cells.iter().flatten());
        out
    }
}

/// All flights that chunks hold, in the order in which they end.
pub(crate) fn fly(chunks: &[Chunk]) -> Vec<Flight> {
    fly_through(Pipeline::default(), chunks)
}

/// The same, through a pipeline that knows of a session.
pub(crate) fn fly_through(mut pipeline: Pipeline, chunks: &[Chunk]) -> Vec<Flight> {
    for chunk in chunks {
        pipeline.chunk(&chunk.bytes());
    }
    let mut flights = Vec::new();
    pipeline.advance_with(u64::MAX, |f| flights.push(f.clone()));
    pipeline.finish_with(|f| flights.push(f.clone()));
    assert_eq!(pipeline.last_error, None);
    flights
}

/// The points that a flight passed.
pub(crate) fn points(flight: &Flight) -> Vec<u16> {
    flight.marks.iter().map(|m: &Mark| m.point).collect()
}
