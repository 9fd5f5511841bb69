//! Events made by hand: datagrams through a row of routers to one of many servers, so that hops,
//! flows and paths can each be had in any number, the same in every run.
//!
//! In: how many of each. Out: chunks as the recorder writes them, and the topology to go with them.

use std::collections::BTreeMap;

use netpath::{
    decode::header_bytes,
    session::Session,
    topo::{Chosen, Device, Host, Place, Topology},
};
use netpath_common::{
    place::DevId,
    point::{
        HOOK_SLOT, Hook, HookAux, NET_DEV_QUEUE, NET_DEV_START, NETIF_RECEIVE, NETIF_RX, SKB_COPY,
    },
    wire::{ABI, CHUNK_CELLS, ChunkHeader, KIND_SEGMENT, KIND_SKB, KIND_TUPLE4},
};

/// Time between two events of a packet, at least and at most, and between the beginnings of two
/// packets, ns. Packets that took equally long would all be among the slowest.
const EVENT_NS: [u64; 2] = [60, 140];
const PACKET_NS: u64 = 20_000;
/// sk_buffs that the packets take in turn.
const SKBS: u64 = 256;

/// How many there are of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Routers between the client and the servers.
    pub(super) routers: u32,
    pub(super) flows: u32,
    /// Servers, each at the end of a path of its own.
    pub(super) paths: u32,
}

/// Makes the events of one packet after the other.
pub(super) struct Stream {
    shape: Shape,
    packet: u64,
    seq: u32,
}

/// The client's device, a router's in and out, a server's. The last router has an outer device for
/// each server.
const CLIENT: Place = Place { netns: 1, ifindex: 2 };

const fn inner(router: u32) -> Place {
    Place { netns: 2 + router, ifindex: 2 }
}

impl Shape {
    fn outer(self, router: u32, path: u32) -> Place {
        let of_path = if router + 1 == self.routers { path } else { 0 };
        Place { netns: 2 + router, ifindex: 3 + of_path }
    }

    fn server(self, path: u32) -> Place {
        Place { netns: 2 + self.routers + path, ifindex: 2 }
    }

    /// What netpath would have found out of it.
    pub(super) fn session(self) -> Session {
        let mut hosts: BTreeMap<u32, Host> = BTreeMap::new();
        let mut add = |place: Place| {
            let host = hosts.entry(place.netns).or_insert_with(|| Host {
                netns: place.netns,
                name: format!("host{}", place.netns),
                owner: None,
                devices: BTreeMap::new(),
                forwards: true,
                bridge_nf: false,
                met: false,
                beside: false,
                found: None,
                handle: None,
            });
            host.devices.insert(place.ifindex, device(place.ifindex));
        };
        add(CLIENT);
        for router in 0..self.routers {
            add(inner(router));
            (0..self.paths).for_each(|path| add(self.outer(router, path)));
        }
        (0..self.paths).for_each(|path| add(self.server(path)));
        let topology = Topology {
            hosts,
            chain: vec![CLIENT, inner(0)],
            chosen: vec![Chosen { focus: inner(0), inside: Some(CLIENT), outside: Some(inner(0)) }],
            ..Topology::default()
        };
        Session { topology, ..Session::default() }
    }
}

fn device(ifindex: u32) -> Device {
    Device {
        ifindex,
        name: format!("if{ifindex}"),
        kind: "veth".to_owned(),
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

impl Stream {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, packet: 0, seq: 0 }
    }

    /// The chunks of so many further packets, each packet in one of its own; until when they are
    /// complete, ns.
    pub(super) fn chunks(&mut self, packets: u64) -> (Vec<Vec<u8>>, u64) {
        let chunks = (0..packets).map(|_| self.chunk()).collect();
        (chunks, self.packet * PACKET_NS)
    }

    fn chunk(&mut self) -> Vec<u8> {
        let base_ns = (self.packet + 1) * PACKET_NS;
        let mut cells: Vec<[u8; 16]> = Vec::new();
        self.headers(&mut cells);
        let mut dt_ns = 0_u32;
        for (n, (point, aux, arg)) in self.events().into_iter().enumerate() {
            let mut cell = [0; 16];
            cell[0..2].copy_from_slice(&point.to_ne_bytes());
            cell[2..4].copy_from_slice(&aux.to_ne_bytes());
            cell[4..8].copy_from_slice(&dt_ns.to_ne_bytes());
            dt_ns += self.between(n as u64);
            cell[8..16].copy_from_slice(&arg.to_ne_bytes());
            cells.push(cell);
        }
        assert!(cells.len() <= CHUNK_CELLS, "a packet's events fit into a chunk");
        let header = ChunkHeader {
            base_ns,
            seq: self.seq,
            cells: u16::try_from(cells.len()).unwrap_or(u16::MAX),
            abi: ABI,
            ..ChunkHeader::default()
        };
        self.packet += 1;
        self.seq = self.seq.wrapping_add(1);
        let mut bytes = header_bytes(&header).to_vec();
        bytes.extend(cells.iter().flatten());
        bytes
    }

    /// The time between this packet's `n`th event and the next, ns: any, the same in every run.
    fn between(&self, n: u64) -> u32 {
        let number = (self.packet + n * 0x1_0001).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let [least, most] = EVENT_NS;
        u32::try_from(least + number % (most - least)).unwrap_or(u32::MAX)
    }

    /// Which sk_buff, its addresses and its numbers.
    fn headers(&self, cells: &mut Vec<[u8; 16]>) {
        let flow = u32::try_from(self.packet % u64::from(self.shape.flows)).unwrap_or(0);
        let (address, port) = (flow / 50_000, u16::try_from(10_000 + flow % 50_000).unwrap_or(0));
        let mut skb = [0; 16];
        skb[0..2].copy_from_slice(&KIND_SKB.to_ne_bytes());
        skb[4..8].copy_from_slice(&128_u32.to_ne_bytes());
        let addr = 0xffff_8880_0000_0000 + self.packet % SKBS * 256;
        skb[8..16].copy_from_slice(&addr.to_ne_bytes());
        let mut tuple = [0; 16];
        tuple[0..2].copy_from_slice(&KIND_TUPLE4.to_ne_bytes());
        tuple[2] = netpath::packet::UDP;
        tuple[4..8].copy_from_slice(&(0x0a00_0002 + address).to_be_bytes());
        tuple[8..12].copy_from_slice(&0xc612_0002_u32.to_be_bytes());
        tuple[12..14].copy_from_slice(&port.to_be_bytes());
        tuple[14..16].copy_from_slice(&9000_u16.to_be_bytes());
        let mut segment = [0; 16];
        segment[0..2].copy_from_slice(&KIND_SEGMENT.to_ne_bytes());
        let ip_id = u16::try_from(self.packet % 65_536).unwrap_or(0);
        segment[2..4].copy_from_slice(&ip_id.to_ne_bytes());
        segment[4..8].copy_from_slice(&100_u32.to_ne_bytes());
        cells.extend([skb, tuple, segment]);
    }

    /// The packet's events: point, aux, argument.
    fn events(&self) -> Vec<(u16, u16, u64)> {
        let shape = self.shape;
        let path = u32::try_from(self.packet % u64::from(shape.paths)).unwrap_or(0);
        let at = |point: u16, place: Place| (point, 0, DevId::from(place).to_arg());
        let hook = |place: Place, hook: Hook| {
            let aux = HookAux { slot: 0, hook: hook as u8, family: 0, ctinfo: None };
            (HOOK_SLOT, aux.pack(), DevId::from(place).to_arg())
        };
        let leave = |from: Place, to: Place| {
            [
                at(NET_DEV_QUEUE, from),
                at(NET_DEV_START, from),
                at(NETIF_RX, to),
                at(NETIF_RECEIVE, to),
            ]
        };
        let mut events = vec![hook(CLIENT, Hook::Output)];
        let first = if shape.routers == 0 { shape.server(path) } else { inner(0) };
        events.extend(leave(CLIENT, first));
        for router in 0..shape.routers {
            let (from, last) = (shape.outer(router, path), router + 1 == shape.routers);
            events.push(hook(inner(router), Hook::Prerouting));
            events.push(hook(from, Hook::Forward));
            events.push(hook(from, Hook::Postrouting));
            events.extend(leave(from, if last { shape.server(path) } else { inner(router + 1) }));
        }
        events.push(hook(shape.server(path), Hook::Input));
        events.push((SKB_COPY, 100, 0));
        events
    }
}
