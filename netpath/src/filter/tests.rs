//! What the language means to netpath, and what it refuses. That it means the same to libpcap is
//! [`super::differential`]'s.

use crate::{
    filter::Filter,
    flight::{End, Flight},
    packet::{Headers, TCP, Tuple, UDP},
};

const CLIENT: [u8; 4] = [172, 31, 0, 2];
const SERVER: [u8; 4] = [198, 18, 0, 2];
const MASQUERADE: [u8; 4] = [198, 18, 0, 1];

fn tuple(proto: u8, src: [u8; 4], dst: [u8; 4], sport: u16, dport: u16) -> Tuple {
    Tuple::v4(proto, src, dst, sport.to_be_bytes(), dport.to_be_bytes())
}

fn flight(before: Tuple, after: Option<Tuple>) -> Flight {
    Flight {
        headers: Some(Headers { tuple: Some(before), len: 60, ..Headers::default() }),
        translated: after,
        end: End::Delivered,
        ..Flight::default()
    }
}

fn compile(text: &str) -> Filter {
    Filter::compile(text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_flight_is_found_by_either_of_its_tuples() {
    let request = flight(
        tuple(UDP, CLIENT, SERVER, 40000, 53),
        Some(tuple(UDP, MASQUERADE, SERVER, 40000, 53)),
    );
    let reply = flight(
        tuple(UDP, SERVER, MASQUERADE, 53, 40000),
        Some(tuple(UDP, SERVER, CLIENT, 53, 40000)),
    );
    let other = flight(tuple(UDP, SERVER, [198, 18, 0, 9], 53, 40000), None);
    for text in ["host 172.31.0.2", "host 198.18.0.1", "port 53 and net 172.31"] {
        let filter = compile(text);
        assert!(filter.wants(&request) && filter.wants(&reply), "{text}");
        assert!(!filter.wants(&other), "{text}");
        assert_eq!(filter.unwanted(&request), None, "{text}");
        assert!(filter.unwanted(&other).is_some(), "{text}");
    }
}

#[test]
fn a_flow_is_unwanted_only_if_none_of_its_packets_can_match() {
    let plain = flight(tuple(TCP, CLIENT, SERVER, 40000, 80), None);
    for (text, unwanted) in [
        ("tcp[tcpflags] & tcp-syn != 0", false),
        ("greater 1000", false),
        ("udp", true),
        ("udp and greater 1000", true),
        ("greater 1000 or udp", false),
    ] {
        let filter = compile(text);
        assert!(!filter.wants(&plain), "{text}");
        assert_eq!(filter.unwanted(&plain).is_some(), unwanted, "{text}");
    }
    let dropped = Flight { end: End::Dropped { reason: 2 }, ..plain };
    assert_eq!(compile("udp").unwanted(&dropped), None);
}

#[test]
fn nothing_is_every_packet() {
    let filter = compile("  ");
    assert!(filter.wants(&Flight::default()) && filter.program().len == 0);
}

/// Error messages, as people see them.
fn refusals(texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let error = Filter::compile(text).expect_err(text);
        out += &format!("{error}\n\n");
    }
    out
}

#[test]
fn what_is_refused_is_pointed_at() {
    insta::assert_snapshot!(refusals(&[
        "host",
        "tcp port",
        "port http3x",
        "prot 80",
        "tcp port 80 and",
        "(host 10.0.0.1",
        "host example.org",
        "net 10.0.0.1/8",
        "net 10.0.0.0/33",
        "ip host fd00::1",
        "tcp host 10.0.0.1",
        "ip port 80",
        "portrange 1-70000",
        "ether host 1:2:3:4:5:6",
        "arp",
        "udp[0] = 1",
        "tcp[0] = 1",
        "tcp[tcpflags] + 1 = 2",
        "len",
        "tcp port 80 udp",
        "host 10.0.0.1 $",
    ]));
}

#[test]
fn a_filter_that_is_too_long_is_refused() {
    let ports: Vec<String> = (1..100).map(|p| (2 * p).to_string()).collect();
    let error = Filter::compile(&format!("port {}", ports.join(" or "))).expect_err("too long");
    assert!(error.to_string().contains("192 at most"), "{error}");
}

#[test]
fn nesting_without_end_is_an_error_and_no_overflow() {
    use crate::{filter::FilterError, session::Session};
    // On a stack as threads have it.
    let refused = |text: String| {
        let compiled = std::thread::Builder::new().stack_size(2 << 20);
        let compiled = compiled.spawn(move || Filter::compile(&text)).expect("a thread");
        compiled.join().expect("it comes back").expect_err("it is refused")
    };
    for inner in ["len > 1", "tcp", "len", "1 = 1"] {
        for levels in [200, 4000] {
            let text = format!("{}{inner}{}", "(".repeat(levels), ")".repeat(levels));
            assert!(refused(text).to_string().contains("less nesting"), "{inner} {levels}");
        }
        let text = format!("{}{inner}", "(".repeat(100_000));
        assert!(matches!(refused(text), FilterError::TooMuchText { bytes: 100_000.. }));
    }
    assert!(refused("! ".repeat(4000)).to_string().contains("less nesting"));
    // As deep as anybody writes.
    for text in ["((((len)) > ((1))))", "(((((tcp)))) and ((((len > ((((1)))))))))"] {
        compile(text);
    }
    // A recording carries its filter as text.
    let session =
        |filter: String| serde_json::from_value::<Session>(serde_json::json!({ "filter": filter }));
    assert!(session("(".repeat(100_000)).unwrap_err().to_string().contains("100000 bytes"));
    assert!(session(format!("{}len > 1", "(".repeat(1000))).is_err());
    assert!(session("udp".to_owned()).is_ok_and(|s| s.filter.is_some()));
}
