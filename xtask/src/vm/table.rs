//! What can be measured on which kernel, as a table for people.
//!
//! In: what `netpath doctor` says on each kernel, once for each way to look. Out: markdown.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command};

use anyhow::Context as _;
use serde_json::Value;

use super::{Guest, Image, Kernel, boot};
use crate::shell::output;

/// The ways to look: a letter, the backends, and what they are.
const WAYS: &[(char, &str, &str)] = &[
    ('t', "tracepoint", "BTF tracepoints alone"),
    ('f', "fentry", "functions, by BPF trampolines"),
    ('k', "kprobe", "functions, by kprobes"),
    ('l', "tracepoint,netfilter-link", "BTF tracepoints and netfilter BPF links"),
];

/// Loads what hops are in, and keeps what `netpath doctor` says; a way that does not work here
/// leaves nothing.
const SCRIPT: &str = "modprobe -a br_netfilter nf_nat nft_chain_nat nft_masq iptable_nat \
                      iptable_filter ip6table_filter ebtable_filter veth vxlan tun macvlan\n";

/// What a kernel says: by hop, the letters of the ways that see it.
struct Column {
    release: String,
    whose: String,
    hops: BTreeMap<String, String>,
    /// What attaching took, by the way's letter, s.
    took: BTreeMap<char, f64>,
}

/// Asks each kernel, and this machine's, and writes the table.
pub(super) fn make(kernels: &[(&Kernel, Image)], netpath: &Path) -> anyhow::Result<String> {
    let mut columns = Vec::new();
    let mut order = Vec::new();
    for (kernel, image) in kernels {
        let dir = tempfile::tempdir()?;
        let mut script = SCRIPT.to_owned();
        for (letter, backends, _) in WAYS {
            writeln!(
                script,
                "netpath doctor --json --backend {backends} >/out/{letter} || rm /out/{letter}"
            )?;
        }
        let guest = Guest {
            command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
            out: Some(dir.path().to_owned()),
            ..Guest::default()
        };
        let outcome = boot(kernel, image, &guest)?;
        let said = |letter: char| fs::read_to_string(dir.path().join(letter.to_string())).ok();
        columns.push(column(&outcome.kernel_version, kernel.what, said, &mut order)?);
    }
    let release = output(Command::new("uname").arg("-r")).unwrap_or_default();
    let said = |letter: char| {
        let (_, backends, _) = WAYS.iter().find(|(l, ..)| *l == letter)?;
        output(Command::new(netpath).args(["doctor", "--json", "--backend", backends]))
    };
    columns.push(column(&release, "the machine that this table was made on", said, &mut order)?);
    Ok(markdown(&columns, &order))
}

/// Reads what doctor said; hops that are not known yet go to `order`.
fn column(
    release: &str,
    whose: &str,
    said: impl Fn(char) -> Option<String>,
    order: &mut Vec<String>,
) -> anyhow::Result<Column> {
    let mut hops: BTreeMap<String, String> = BTreeMap::new();
    let mut took = BTreeMap::new();
    for (letter, ..) in WAYS {
        let Some(text) = said(*letter) else { continue };
        let report: Value = serde_json::from_str(&text).context("doctor's JSON")?;
        took.extend(report["attaching_ms"].as_f64().map(|ms| (*letter, ms / 1e3)));
        for row in report["hops"].as_array().into_iter().flatten() {
            let hop = row["hop"].as_str().unwrap_or_default();
            if !order.iter().any(|known| known == hop) {
                order.push(hop.to_owned());
            }
            if row["backends"].is_array() {
                hops.entry(hop.to_owned()).or_default().push(*letter);
            }
        }
    }
    Ok(Column { release: release.to_owned(), whose: whose.to_owned(), hops, took })
}

fn markdown(columns: &[Column], order: &[String]) -> String {
    let mut text = String::new();
    let all = order.len();
    text += "| kernel | |";
    for (letter, ..) in WAYS {
        text += &format!(" {letter} |");
    }
    text += &format!("\n| --- | --- |{}\n", " --- |".repeat(WAYS.len()));
    for column in columns {
        text += &format!("| {} | {} |", column.release, column.whose);
        for (letter, ..) in WAYS {
            let seen = column.hops.values().filter(|ways| ways.contains(*letter)).count();
            text += &if seen == 0 { " – |".to_owned() } else { format!(" {seen} of {all} |") };
        }
        text.push('\n');
    }
    text.push('\n');
    for (letter, _, what) in WAYS {
        text += &format!("- **{letter}**: {what}\n");
    }
    text += "\nLoading and attaching all of it took, in seconds, those of packages in emulation:\n\n| kernel |";
    for (letter, ..) in WAYS {
        text += &format!(" {letter} |");
    }
    text += &format!("\n| --- |{}\n", " --- |".repeat(WAYS.len()));
    for column in columns {
        text += &format!("| {} |", column.release);
        for (letter, ..) in WAYS {
            text += &column.took.get(letter).map_or(" – |".to_owned(), |s| format!(" {s:.2} |"));
        }
        text.push('\n');
    }
    text += "\n| hop |";
    for column in columns {
        text += &format!(" {} |", column.release);
    }
    text += &format!("\n| --- |{}\n", " --- |".repeat(columns.len()));
    for hop in order {
        text += &format!("| `{hop}` |");
        for column in columns {
            let ways: Vec<String> =
                column.hops.get(hop).iter().flat_map(|w| w.chars()).map(String::from).collect();
            text += &if ways.is_empty() {
                " – |".to_owned()
            } else {
                format!(" {} |", ways.join(" "))
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_say_which_way_sees_a_hop() {
        let said = |letter: char| {
            match letter {
            't' => Some(
                r#"{"attaching_ms":340,"hops":[{"hop":"a","backends":["tracepoint"]},{"hop":"b","absent":"no"}]}"#
                    .to_owned(),
            ),
            'k' => Some(
                r#"{"hops":[{"hop":"a","backends":["kprobe"]},{"hop":"b","backends":["kprobe"]}]}"#
                    .to_owned(),
            ),
            _ => None,
        }
        };
        let mut order = Vec::new();
        let column = column("6.1", "mine", said, &mut order).unwrap();
        assert_eq!(order, ["a", "b"]);
        let text = markdown(&[column], &order);
        assert!(text.contains("| 6.1 | mine | 1 of 2 | – | 2 of 2 | – |"), "{text}");
        assert!(text.contains("| 6.1 | 0.34 | – | – | – |"), "{text}");
        assert!(text.contains("| `a` | t k |\n| `b` | k |\n"), "{text}");
    }
}
