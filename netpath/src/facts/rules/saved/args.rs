//! The arguments of a rule, as iptables-save prints them.
//!
//! In: words. Out: conditions and a target. Whatever isn't understood becomes a condition that may hold or
//! not.

use super::super::rule::{
    Condition, Field, Value, icmp_type, icmpv6_type, net, proto_number, tcp_flag,
};

/// Modules whose options say all that they ask.
const TOLD: &[&str] = &[
    "tcp",
    "udp",
    "sctp",
    "dccp",
    "udplite",
    "icmp",
    "icmp6",
    "comment",
    "conntrack",
    "state",
    "multiport",
    "iprange",
];

/// What a rule's arguments say.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) conditions: Vec<Condition>,
    /// The target's name, and whether it is gone to and not jumped to.
    pub(super) target: Option<(String, bool)>,
    /// Of NFQUEUE.
    pub(super) queue: Option<String>,
}

/// Splits at spaces; what stands in quotes is one word.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun) = (false, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => (quoted, begun) = (!quoted, true),
            '\\' if quoted => word.extend(chars.next()),
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// Reads them, after the chain's name.
pub(super) fn read(words: &[String]) -> Read {
    let mut read = Read::default();
    let mut v6 = false;
    let mut at = 0;
    let mut negated = false;
    while let Some(option) = words.get(at).map(String::as_str) {
        at += 1;
        if option == "!" {
            negated = true;
            continue;
        }
        // Up to the next option.
        let is_option = |word: &&String| {
            (word.starts_with('-') && word.parse::<f64>().is_err()) || word.as_str() == "!"
        };
        let count = words[at..].iter().take_while(|word| !is_option(word)).count();
        let values: Vec<&str> = words[at..at + count].iter().map(String::as_str).collect();
        at += count;
        let value = values.first().copied().unwrap_or_default();
        match option {
            "-j" | "-g" => {
                read.target = Some((value.to_owned(), option == "-g"));
                // The target's own options follow.
                let rest = &words[at..];
                let place = rest
                    .iter()
                    .position(|word| matches!(word.as_str(), "--queue-num" | "--queue-balance"));
                read.queue = place.and_then(|place| rest.get(place + 1).cloned());
                return read;
            }
            "-m" => {
                v6 |= value == "icmp6";
                // What a module of this name asks is in its options; one that has none asks something.
                if !TOLD.contains(&value) {
                    read.conditions.push(Condition::unknown());
                }
            }
            "--comment" => {}
            _ => {
                let condition = condition(option, &values, v6).map(|mut condition| {
                    condition.negated = negated;
                    condition
                });
                read.conditions.push(condition.unwrap_or_else(Condition::unknown));
            }
        }
        negated = false;
    }
    read
}

fn condition(option: &str, values: &[&str], v6: bool) -> Option<Condition> {
    let value = *values.first()?;
    let several = |field, of: &dyn Fn(&str) -> Option<Value>| {
        let values: Option<Vec<Value>> = value.split(',').map(of).collect();
        values.map(|values| Condition::is(field, values))
    };
    match option {
        "-p" => match value {
            "all" => Some(Condition::is(Field::IpVersion, [Value::Range(0, u16::MAX)])),
            name => proto_number(name).map(Condition::proto),
        },
        "-s" => several(Field::Source, &net),
        "-d" => several(Field::Destination, &net),
        "-i" => Some(Condition::is(Field::In, [interface(value)])),
        "-o" => Some(Condition::is(Field::Out, [interface(value)])),
        "--sport" | "--sports" => several(Field::SourcePort, &ports),
        "--dport" | "--dports" => several(Field::DestinationPort, &ports),
        "--ports" => several(Field::AnyPort, &ports),
        "--src-range" => addresses(value).map(|v| Condition::is(Field::Source, [v])),
        "--dst-range" => addresses(value).map(|v| Condition::is(Field::Destination, [v])),
        "--ctstate" | "--state" => several(Field::State, &|state| {
            // States of NAT are none of conntrack's.
            (!matches!(state, "SNAT" | "DNAT")).then(|| Value::Word(state.to_lowercase()))
        }),
        "--icmp-type" | "--icmpv6-type" if value == "any" => {
            Some(Condition::is(Field::IcmpType, [Value::Range(0, u16::MAX)]))
        }
        "--icmp-type" | "--icmpv6-type" => {
            let v6 = v6 || option == "--icmpv6-type";
            // `3/1`: the code is not looked at.
            let number = if v6 { icmpv6_type(value) } else { icmp_type(value) };
            number.map(|number| Condition::is(Field::IcmpType, [Value::number(number)]))
        }
        "--tcp-flags" => {
            let flags =
                |names: &str| names.split(',').try_fold(0, |all, name| Some(all | tcp_flag(name)?));
            let value = Value::Range(flags(value)?, flags(values.get(1)?)?);
            Some(Condition::is(Field::TcpFlags, [value]))
        }
        _ => None,
    }
}

/// iptables' `eth+` is nft's `eth*`.
fn interface(name: &str) -> Value {
    Value::Word(match name.strip_suffix('+') {
        Some(begin) => format!("{begin}*"),
        None => name.to_owned(),
    })
}

/// `80`, `1000:2000`.
fn ports(text: &str) -> Option<Value> {
    match text.split_once(':') {
        None => text.parse().ok().map(Value::number),
        Some((from, to)) => {
            let to = if to.is_empty() { u16::MAX } else { to.parse().ok()? };
            Some(Value::Range(if from.is_empty() { 0 } else { from.parse().ok()? }, to))
        }
    }
}

/// `10.0.0.1-10.0.0.9`.
fn addresses(text: &str) -> Option<Value> {
    let (first, last) = text.split_once('-')?;
    Some(Value::Addresses(first.parse().ok()?, last.parse().ok()?))
}
