//! The same filters over the same packets, by libpcap's compiler and by netpath's.
//!
//! `tcpdump -ddd` compiles an expression to classic BPF; that program runs here over Ethernet
//! frames, netpath's over what it knows of them.

use std::{net::IpAddr, process::Command};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};

use crate::{
    filter::Filter,
    packet::{Headers, ICMP, ICMPV6, SCTP, TCP, Tuple, UDP},
};

/// An instruction of classic BPF.
#[derive(Clone, Copy, Debug)]
struct Instruction {
    code: u16,
    yes: u8,
    no: u8,
    k: u32,
}

/// What libpcap makes of an expression; `None` where tcpdump can't be run.
fn libpcap(text: &str) -> Option<Vec<Instruction>> {
    // Not optimized: the optimizer refuses what no packet can match.
    let arguments = ["-y", "EN10MB", "-O", "-ddd", text];
    let output = Command::new("tcpdump").args(arguments).output().ok()?;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tcpdump refuses `{text}`: {error}");
    let program = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = program.lines().skip(1).map(|line| {
        let n: Vec<u32> = line.split(' ').map(|n| n.parse().expect("a number")).collect();
        let small = |n: u32| u8::try_from(n).expect("a jump");
        Instruction {
            code: u16::try_from(n[0]).expect("a code"),
            yes: small(n[1]),
            no: small(n[2]),
            k: n[3],
        }
    });
    Some(lines.collect())
}

/// Runs a program over a frame of which `len` bytes were on the wire. A load beyond what is there
/// ends it with no match, as in the kernel.
fn run(program: &[Instruction], frame: &[u8], len: u32) -> bool {
    let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; 16]);
    let mut at = 0;
    loop {
        let i = program[at];
        at += 1;
        let load = |from: u32, size: usize| -> Option<u32> {
            let from = from as usize;
            let bytes = frame.get(from..from + size)?;
            Some(bytes.iter().fold(0, |w, b| (w << 8) | u32::from(*b)))
        };
        let size = match i.code & 0x18 {
            0x00 => 4,
            0x08 => 2,
            _ => 1,
        };
        let operand = if i.code & 0x08 == 0 { i.k } else { x };
        let loaded = match i.code & 0xe7 {
            0x20 => load(i.k, size),
            0x40 => load(x.wrapping_add(i.k), size),
            0x80 => Some(len),
            0xa1 => load(i.k, 1).map(|b| 4 * (b & 0xf)),
            0x00 | 0x01 => Some(i.k),
            0x60 | 0x61 => Some(memory[i.k as usize]),
            _ => Some(0),
        };
        match i.code & 7 {
            0 | 1 if loaded.is_none() => return false,
            0 => a = loaded.unwrap_or(0),
            1 => x = loaded.unwrap_or(0),
            2 => memory[i.k as usize] = a,
            3 => memory[i.k as usize] = x,
            4 => {
                a = match i.code & 0xf0 {
                    0x00 => a.wrapping_add(operand),
                    0x10 => a.wrapping_sub(operand),
                    0x20 => a.wrapping_mul(operand),
                    0x40 => a | operand,
                    0x50 => a & operand,
                    0x60 => a.checked_shl(operand).unwrap_or(0),
                    0x70 => a.checked_shr(operand).unwrap_or(0),
                    other => panic!("no operation {other:#x}"),
                }
            }
            5 => {
                let holds = match i.code & 0xf0 {
                    0x00 => {
                        at += i.k as usize;
                        continue;
                    }
                    0x10 => a == operand,
                    0x20 => a > operand,
                    0x30 => a >= operand,
                    0x40 => a & operand != 0,
                    other => panic!("no jump {other:#x}"),
                };
                at += usize::from(if holds { i.yes } else { i.no });
            }
            6 => return i.k != 0,
            _ if i.code & 0xf8 == 0 => x = a,
            _ => a = x,
        }
    }
}

/// A packet as netpath knows it, from which the frame is made.
#[derive(Clone, Debug)]
struct Packet {
    tuple: Tuple,
    flags: u8,
    fragment: bool,
    /// Bytes after the headers.
    data: u16,
}

impl Packet {
    fn frame(&self) -> Vec<u8> {
        let mut l4 = Vec::new();
        let (sport, dport) = (self.tuple.sport.to_be_bytes(), self.tuple.dport.to_be_bytes());
        match self.tuple.proto {
            TCP => {
                l4.extend([sport, dport].concat());
                l4.extend([0; 8]);
                l4.extend([0x50, self.flags, 0, 0, 0, 0, 0, 0]);
            }
            ICMP | ICMPV6 => {
                l4.extend([self.flags, 0, 0, 0]);
                l4.extend([sport, dport].concat());
            }
            _ => {
                l4.extend([sport, dport].concat());
                l4.extend([0; 16]);
            }
        }
        l4.resize(l4.len() + usize::from(self.data), 0xa5);
        let mut frame = vec![2; 12];
        match (self.tuple.src, self.tuple.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                frame.extend([8, 0, 0x45, 0]);
                frame.extend(u16::try_from(20 + l4.len()).expect("it is short").to_be_bytes());
                frame.extend([0, 7, 0, if self.fragment { 9 } else { 0 }, 64, self.tuple.proto]);
                frame.extend([0, 0]);
                frame.extend(src.octets());
                frame.extend(dst.octets());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let next = if self.fragment { 44 } else { self.tuple.proto };
                if self.fragment {
                    l4.splice(0..0, [self.tuple.proto, 0, 0, 9, 0, 0, 0, 1]);
                }
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(u16::try_from(l4.len()).expect("it is short").to_be_bytes());
                frame.extend([next, 64]);
                frame.extend(src.octets());
                frame.extend(dst.octets());
            }
            _ => panic!("addresses of two versions"),
        }
        frame.extend(l4);
        frame
    }

    /// What the recorder would say of it.
    fn headers(&self, frame: &[u8]) -> Headers {
        let mut tuple = self.tuple;
        let with_l4 = matches!(tuple.proto, TCP | UDP | SCTP | ICMP | ICMPV6) && !self.fragment;
        if !with_l4 {
            (tuple.sport, tuple.dport) = (0, 0);
        }
        let flags = if with_l4 && !matches!(tuple.proto, UDP | SCTP) { self.flags } else { 0 };
        let len = u32::try_from(frame.len()).expect("it is short") - 14;
        Headers { tuple: Some(tuple), flags, fragment: self.fragment, len, ..Headers::default() }
    }
}

fn packets() -> impl Strategy<Value = Packet> {
    let v4 = prop::sample::select(vec!["10.0.0.1", "10.0.0.2", "172.31.0.2", "198.18.0.1"]);
    let v6 = prop::sample::select(vec!["fd31::2", "fd18::1", "fd18::2", "2001:db8::1"]);
    let proto = prop::sample::select(vec![TCP, UDP, SCTP, ICMP, ICMPV6, 47]);
    let port = prop::sample::select(vec![0, 22, 53, 80, 443, 1023, 1024, 2000, 40000]);
    let flags = prop::sample::select(vec![0_u8, 2, 8, 16, 17, 18, 24, 128, 129]);
    let ends = (any::<bool>(), [v4.clone(), v4], [v6.clone(), v6]);
    let data = prop::sample::select(vec![0_u16, 1, 46, 446, 947, 1200]);
    (ends, proto, [port.clone(), port], flags, prop::bool::weighted(0.1), data).prop_map(
        |((six, v4, v6), proto, [sport, dport], flags, fragment, data)| {
            let [src, dst] = if six { v6 } else { v4 };
            let parse = |text: &str| text.parse().expect("an address");
            let tuple = Tuple { proto, src: parse(src), dst: parse(dst), sport, dport };
            Packet { tuple, flags, fragment, data }
        },
    )
}

/// Primitives; every one of them is one of libpcap's too.
const PRIMITIVES: &[&str] = &[
    "host 10.0.0.1",
    "src host 10.0.0.1",
    "dst 172.31.0.2",
    "src or dst host 198.18.0.1",
    "src and dst host 10.0.0.1",
    "ip host 10.0.0.2",
    "host fd31::2",
    "ip6 src host fd18::1",
    "net 10.0.0.0/8",
    "net 172.31",
    "dst net 198.18.0.0 mask 255.254.0.0",
    "net 10.0.0.0/31",
    "src net fd18::/16",
    "ip6 net 2001:db8::/33",
    "net 0.0.0.0/0",
    "port 53",
    "src port 80",
    "dst port 443 or 22",
    "tcp port 80",
    "udp dst port 53",
    "sctp port 443",
    "port 0",
    "tcp port http",
    "portrange 1024-2048",
    "src portrange 22-80",
    "tcp portrange 1024-65535",
    "ip",
    "ip6",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "ip proto 47",
    "ip6 proto 17",
    "proto 6",
    "less 60",
    "greater 500",
    "len > 100",
    "len <= 1000",
    "100 < len",
    "len & 1 = 0",
    "tcp[tcpflags] & tcp-syn != 0",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
    "(tcp[13] & 0x12) == 0x12",
    "tcp[tcpflags] == tcp-push|tcp-ack",
    "tcp[tcpflags] > 16",
    "icmp[icmptype] == icmp-echo",
    "icmp[icmptype] != icmp-echo",
    "icmp6[icmp6type] == icmp6-echo",
];

fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(PRIMITIVES.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or {b}")),
            inner.clone().prop_map(|a| format!("not {a}")),
            inner.prop_map(|a| format!("({a})")),
        ]
    })
}

/// Compares both on an expression; whether there was something to compare with.
fn compare(text: &str, packets: &[Packet]) -> Result<bool, TestCaseError> {
    let ours = match Filter::compile(text) {
        Ok(filter) => filter,
        Err(error) => return Err(TestCaseError::fail(format!("`{text}`: {error}"))),
    };
    let Some(theirs) = libpcap(text) else { return Ok(false) };
    for packet in packets {
        let frame = packet.frame();
        let len = u32::try_from(frame.len()).expect("it is short");
        let (theirs, ours) = (run(&theirs, &frame, len), ours.matches(&packet.headers(&frame)));
        prop_assert_eq!(
            theirs,
            ours,
            "`{}`: libpcap {}, netpath {}: {:?}",
            text,
            theirs,
            ours,
            packet
        );
    }
    Ok(true)
}

fn skip_or_fail() {
    let required = std::env::var("NETPATH_REQUIRE_KERNEL").as_deref() == Ok("1");
    assert!(!required, "tcpdump must be here (Debian's package tcpdump)");
    println!("SKIP tcpdump is not installed");
}

#[test]
fn every_primitive_means_what_it_means_to_libpcap() {
    let mut runner = TestRunner::new(Config::default());
    for text in PRIMITIVES {
        let packets: Vec<_> = (0..300)
            .map(|_| packets().new_tree(&mut runner).expect("a packet").current())
            .collect();
        if !compare(text, &packets).unwrap_or_else(|e| panic!("{e}")) {
            return skip_or_fail();
        }
    }
}

#[test]
fn whole_expressions_mean_what_they_mean_to_libpcap() {
    if libpcap("ip").is_none() {
        return skip_or_fail();
    }
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(expressions(), prop::collection::vec(packets(), 60)), |(text, packets)| {
            compare(&text, &packets).map(|_| ())
        })
        .unwrap_or_else(|e| panic!("{e}"));
}
