//! A rule's statements in nft's JSON: conditions, verdicts, and whether it counts.
//!
//! In: the `expr` list of a rule, and its table's sets. Out: a [`Rule`] without chain, handle and text.

use serde_json::Value as Json;

use super::super::rule::{
    self, Branch, Condition, Field, NAT_KINDS, Rule, Value, Verdict, icmp_type, icmpv6_type,
    proto_number, tcp_flag,
};

/// Elements of a set beyond which it is not looked through: its packets may be in it or not.
const SET_MAX: usize = 1024;

/// The elements of the set or map of this name.
type Look<'a> = &'a dyn Fn(&str) -> Option<&'a [Json]>;

/// Reads a rule's statements.
pub(super) fn rule(statements: &Json, look: Look) -> Rule {
    let mut rule = Rule::default();
    for statement in statements.as_array().into_iter().flatten() {
        let Some((name, body)) = statement.as_object().and_then(|fields| fields.iter().next())
        else {
            // `{"xt": null}` of tools that don't know iptables' modules, words of newer ones.
            rule.conditions.push(Condition::unknown());
            continue;
        };
        read(&mut rule, name, body, look);
    }
    rule
}

fn read(rule: &mut Rule, name: &str, body: &Json, look: Look) {
    let verdict = match name {
        "match" => {
            conditions(body, look, &mut rule.conditions);
            return;
        }
        "counter" => {
            // What it has counted before the verdict. A counter by name is shared with others.
            if let Some(packets) = body["packets"].as_u64() {
                rule.packets.get_or_insert(packets);
            }
            return;
        }
        "vmap" => {
            let implied = subject(&body["key"]).and_then(|subject| subject.implied());
            rule.conditions.extend(implied);
            rule.branches.extend(verdict_map(body, look));
            return;
        }
        "xt" if body["type"] == "target" => rule::of_target(body["name"].as_str().unwrap_or("")),
        "xt" => {
            if body["name"] != "comment" {
                rule.conditions.push(Condition::unknown());
            }
            return;
        }
        "limit" | "quota" | "ct count" | "connlimit" => {
            rule.conditions.push(Condition::unknown());
            return;
        }
        "flow" => Some(Verdict::Offload),
        "dup" => Some(Verdict::Copy),
        "fwd" | "tproxy" | "synproxy" => Some(Verdict::Other(name.to_owned())),
        kind if NAT_KINDS.contains(&kind) => Some(Verdict::Nat(kind.to_owned())),
        _ => verdict(name, body),
    };
    rule.branches.extend(verdict.map(|verdict| Branch { of: None, verdict }));
}

/// A verdict by its name; `None` for what only does something on the way (log, mangle, meta set).
fn verdict(name: &str, body: &Json) -> Option<Verdict> {
    let target = || body["target"].as_str().unwrap_or_default().to_owned();
    Some(match name {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "reject" => Verdict::Reject,
        "return" => Verdict::Return,
        "jump" => Verdict::Jump(target()),
        "goto" => Verdict::Goto(target()),
        "queue" => Verdict::Queue(match &body["num"] {
            Json::Null => "NFQUEUE".to_owned(),
            Json::Number(number) => format!("NFQUEUE {number}"),
            several => match several["range"].as_array().map(Vec::as_slice) {
                Some([first, last]) => format!("NFQUEUE {first}-{last}"),
                _ => "NFQUEUE".to_owned(),
            },
        }),
        _ => return None,
    })
}

/// `{"key": …, "data": {"set": [[value, verdict], …]} | "@map"}`.
fn verdict_map(body: &Json, look: Look) -> Vec<Branch> {
    let data = &body["data"];
    let elements = match data.as_str().and_then(|name| name.strip_prefix('@')) {
        Some(map) => look(map),
        None => data["set"].as_array().map(Vec::as_slice),
    };
    let Some(elements) = elements else { return Vec::new() };
    let subject = subject(&body["key"]);
    let mut branches: Vec<Branch> = Vec::new();
    for element in elements {
        let Some([value, what]) = element.as_array().map(Vec::as_slice) else { continue };
        let Some((name, verdict_body)) = what.as_object().and_then(|o| o.iter().next()) else {
            continue;
        };
        let Some(verdict) = verdict(name, verdict_body) else { continue };
        let of = match &subject {
            Some(subject) => subject.condition(std::slice::from_ref(value)),
            None => Condition::unknown(),
        };
        // Of a large map, where each verdict leads is enough.
        let is_vague = elements.len() > SET_MAX || of.field == Field::Unknown;
        let of = if is_vague { Condition::unknown() } else { of };
        if !is_vague || !branches.iter().any(|known| known.verdict == verdict) {
            branches.push(Branch { of: Some(of), verdict });
        }
    }
    branches
}

/// `{"op": …, "left": …, "right": …}`.
fn conditions(body: &Json, look: Look, into: &mut Vec<Condition>) {
    let Some(subject) = subject(&body["left"]) else {
        into.push(Condition::unknown());
        return;
    };
    into.extend(subject.implied());
    let right = &body["right"];
    let op = body["op"].as_str().unwrap_or_default();
    if subject.field == Field::TcpFlags {
        into.push(subject.flags(op, right).unwrap_or_else(Condition::unknown));
        return;
    }
    let values: &[Json] = match right.as_str().and_then(|name| name.strip_prefix('@')) {
        Some(set) => match look(set) {
            Some(elements) if elements.len() <= SET_MAX => elements,
            _ => {
                into.push(Condition::unknown());
                return;
            }
        },
        None => match right {
            Json::Array(several) => several,
            one if one["set"].is_array() => one["set"].as_array().map_or(&[], Vec::as_slice),
            one => std::slice::from_ref(one),
        },
    };
    let mut condition = subject.condition(values);
    match op {
        "==" | "in" => {}
        "!=" => condition.negated = !condition.negated,
        _ => condition = Condition::unknown(),
    }
    into.push(condition);
}

/// What the left side of a comparison is about.
struct Subject<'a> {
    field: Field,
    protocol: &'a str,
    /// Only these of TCP's flags.
    mask: Option<u16>,
}

fn subject(left: &Json) -> Option<Subject<'_>> {
    if let Some([inner, mask]) = left["&"].as_array().map(Vec::as_slice) {
        let inner = subject(inner).filter(|s| s.field == Field::TcpFlags)?;
        return Some(Subject { mask: Some(flags(mask)?), ..inner });
    }
    let of = |field| Some(Subject { field, protocol: "", mask: None });
    if let Some(key) = left["meta"]["key"].as_str() {
        return match key {
            "iif" | "iifname" => of(Field::In),
            "oif" | "oifname" => of(Field::Out),
            "l4proto" => of(Field::Proto),
            "nfproto" | "protocol" => of(Field::IpVersion),
            _ => None,
        };
    }
    if left["ct"]["key"] == "state" && left["ct"]["dir"].is_null() {
        return of(Field::State);
    }
    let payload = &left["payload"];
    let protocol = payload["protocol"].as_str()?;
    let field = match (protocol, payload["field"].as_str()?) {
        ("ip" | "ip6", "saddr") => Field::Source,
        ("ip" | "ip6", "daddr") => Field::Destination,
        ("ip", "protocol") | ("ip6", "nexthdr") => Field::Proto,
        ("tcp" | "udp" | "sctp" | "udplite" | "dccp" | "th", "sport") => Field::SourcePort,
        ("tcp" | "udp" | "sctp" | "udplite" | "dccp" | "th", "dport") => Field::DestinationPort,
        ("icmp" | "icmpv6", "type") => Field::IcmpType,
        ("tcp", "flags") => Field::TcpFlags,
        _ => return None,
    };
    Some(Subject { field, protocol, mask: None })
}

impl Subject<'_> {
    /// What a packet must be to have that field at all.
    fn implied(&self) -> Option<Condition> {
        match self.protocol {
            "" | "th" => None,
            "ip" => Some(Condition::is(Field::IpVersion, [Value::number(4)])),
            "ip6" => Some(Condition::is(Field::IpVersion, [Value::number(6)])),
            name => proto_number(name).map(Condition::proto),
        }
    }

    /// The condition that the field has one of these values; all of them must be understood.
    fn condition(&self, values: &[Json]) -> Condition {
        let values: Option<Vec<Value>> = values.iter().map(|value| self.value(value)).collect();
        values.map_or_else(Condition::unknown, |values| Condition::is(self.field, values))
    }

    fn value(&self, value: &Json) -> Option<Value> {
        // An element with a timeout or a counter of its own.
        if !value["elem"].is_null() {
            return self.value(&value["elem"]["val"]);
        }
        if let Some([first, last]) = value["range"].as_array().map(Vec::as_slice) {
            return match self.field {
                Field::Source | Field::Destination => Some(Value::Addresses(
                    first.as_str()?.parse().ok()?,
                    last.as_str()?.parse().ok()?,
                )),
                _ => Some(Value::Range(self.number(first)?, self.number(last)?)),
            };
        }
        match self.field {
            Field::Source | Field::Destination => match &value["prefix"] {
                Json::Null => rule::net(value.as_str()?),
                prefix => {
                    let length = prefix["len"].as_u64()?.try_into().ok()?;
                    Some(Value::Net(prefix["addr"].as_str()?.parse().ok()?, length))
                }
            },
            Field::In | Field::Out | Field::State => Some(Value::Word(value.as_str()?.to_owned())),
            _ => self.number(value).map(Value::number),
        }
    }

    fn number(&self, value: &Json) -> Option<u16> {
        if let Some(number) = value.as_u64() {
            return number.try_into().ok();
        }
        let name = value.as_str()?;
        match self.field {
            Field::Proto => proto_number(name).map(u16::from),
            Field::IcmpType if self.protocol == "icmpv6" => icmpv6_type(name),
            Field::IcmpType => icmp_type(name),
            Field::IpVersion => match name {
                "ipv4" | "ip" => Some(4),
                "ipv6" | "ip6" => Some(6),
                _ => None,
            },
            _ => None,
        }
    }

    /// `tcp flags syn` asks whether any of them is set, `==` for all of them as they are.
    fn flags(&self, op: &str, right: &Json) -> Option<Condition> {
        let of = |mask, flags, negated| Condition {
            negated,
            ..Condition::is(Field::TcpFlags, [Value::Range(mask, flags)])
        };
        let wanted = flags(right)?;
        match (op, self.mask) {
            ("==", mask) => Some(of(mask.unwrap_or(0xff), wanted, false)),
            ("!=", mask) => Some(of(mask.unwrap_or(0xff), wanted, true)),
            // None of them set, negated.
            ("in", None) => Some(of(wanted, 0, true)),
            _ => None,
        }
    }
}

/// TCP's flags by their names or as a number.
fn flags(value: &Json) -> Option<u16> {
    match value {
        Json::String(name) => tcp_flag(name),
        Json::Number(number) => number.as_u64()?.try_into().ok(),
        Json::Array(several) => several_flags(several),
        Json::Object(fields) => several_flags(fields.get("|")?.as_array()?),
        _ => None,
    }
}

fn several_flags(several: &[Json]) -> Option<u16> {
    several.iter().try_fold(0, |all, one| Some(all | flags(one)?))
}
