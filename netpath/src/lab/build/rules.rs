//! Rules that no packet matches: what it costs to walk past them.

use std::{fmt::Write as _, net::Ipv4Addr};

use super::super::{LabError, topologies::Flavour};
use super::command;
use crate::netns::Netns;

/// Loads `n` rules into FORWARD of a host. With none of them the table is there, empty.
pub(super) fn load(host: &str, netns: &Netns, flavour: Flavour, n: u32) -> Result<(), LabError> {
    let (words, text): (&[&str], String) = match flavour {
        Flavour::Legacy => (&["iptables-legacy-restore"], iptables(n)),
        Flavour::Compat => (&["iptables-nft-restore"], iptables(n)),
        Flavour::Nft => {
            (&["nft", "-f", "-"], nft("", &rules(n, |ip| format!("ip saddr {ip} drop"))))
        }
        Flavour::Set => {
            let set = format!(
                "set s {{ type ipv4_addr; elements = {{ {} }} }}",
                rules(n, |ip| format!("{ip},"))
            );
            (&["nft", "-f", "-"], nft(&set, "ip saddr @s drop"))
        }
        Flavour::Map => {
            let map = format!(
                "map m {{ type ipv4_addr : verdict; elements = {{ {} }} }}",
                rules(n, |ip| format!("{ip} : drop,"))
            );
            (&["nft", "-f", "-"], nft(&map, "ip saddr vmap @m"))
        }
    };
    command(host, netns, words, &text).map(|_| ())
}

/// Addresses that nobody here has.
fn nobody(n: u32) -> impl Iterator<Item = Ipv4Addr> {
    (0..n).map(|i| Ipv4Addr::from_bits(0x0a00_0001 + i))
}

fn rules(n: u32, rule: impl Fn(Ipv4Addr) -> String) -> String {
    nobody(n).fold(String::new(), |mut text, ip| {
        let _ = writeln!(text, "{}", rule(ip));
        text
    })
}

fn iptables(n: u32) -> String {
    let rules = rules(n, |ip| format!("-A FORWARD -s {ip} -j DROP"));
    format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n"
    )
}

fn nft(named: &str, rules: &str) -> String {
    format!(
        "table ip lab {{\n{named}\nchain forward {{\n\
         type filter hook forward priority 0; policy accept;\n{rules}\n}}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rules_as_asked_for_and_none_twice() {
        let text = iptables(300);
        let mut lines: Vec<&str> = text.lines().filter(|l| l.starts_with("-A")).collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 300);
        assert!(iptables(0).contains(":FORWARD ACCEPT"));
    }
}
