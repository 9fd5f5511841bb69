//! docs/conformance.md: the outcomes as a table.
//!
//! In: outcomes. Out: Markdown.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    bars::{AMBIGUOUS, INCOMPLETE, LOST, PACKETS, REFUSED, VANISHED, mean_of},
    outcome::{Check, Outcome, Verdict},
    programs::PROGRAMS,
    report::Kind,
};

/// Of the rows, how many must have neither vanished nor ambiguous packets.
const CLEAN_SHARE: f64 = 0.95;

const KINDS: [Kind; 3] = [Kind::Connect, Kind::Request, Kind::Ping];

const HEAD: &str = "# Conformance

Real programs over the lab's topologies, with netpath beside them, held against what the programs say \
themselves and against the kernel's counters. `cargo xtask conformance` runs them as root and writes \
this page; nothing in it is written by hand.

A figure is netpath's; where the witness's differs, that stands behind it, as *netpath ≠ witness*. What \
a row fails by is bold. The witnesses:

- **packets**: those that passed the traced interface, by its counters in /proc/net/dev. Equal; \
what passes between their last reading and netpath's end may be in netpath's as well.
- **lost, refused**: netpath's drops by host, and that host's counters (/proc/net/snmp, netstat, snmp6, \
conntrack's, devices' and qdiscs'). Equal.
- **vanished, ambiguous**: none on at least 95 % of the rows, and below 0.1 % of the packets elsewhere.
- **incomplete**: none, unless events were lost; and no more than the report says that probes were passed over \
(an interrupt came while one was running).
- **round trips**: what the client, or its server, says that it made. Equal within 0.1 %, below 1,000 \
within one.
- **mean**: of netpath's round trips, and by the program's own clock, where it has one. Within 5 %; a \
program's clock may also be ahead by what the program itself takes, before its packet is there and after it \
has the reply. That is bounded by what the same program measures over its own loopback device, which has the \
loopback's way in it (curl: by what it notes between being connected and having asked); where nothing bounds \
it, there is no more than the 5 %. redis-benchmark stops its clock before it calls read(): it may be behind \
by that call, 1.5 µs at most.
- **lost** counts what a tunnel's device sends back as too large, too, of which the kernel has no counter: \
packets that the device was given and the host did not send.
";

pub(crate) fn markdown(outcomes: &[Outcome]) -> String {
    let mut text = HEAD.to_owned();
    let kernels: BTreeSet<&str> = outcomes.iter().map(|o| o.kernel.as_str()).collect();
    let ran = || ran(outcomes);
    let passed = ran().filter(|o| o.verdict == Verdict::Passed).count();
    let clean = ran().filter(|o| o.clean).count();
    let _ = writeln!(
        text,
        "\nOn Linux {}: {passed} of {} rows pass; {clean} have neither vanished nor ambiguous packets.\n",
        kernels.into_iter().collect::<Vec<_>>().join(", "),
        ran().count(),
    );
    text += "| program | topology | packets | lost | refused | vanished | ambiguous | incomplete | \
             round trips | mean, µs | |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for outcome in outcomes {
        text += &line(outcome);
    }
    text += "\n## What the rows run\n\n";
    for program in PROGRAMS {
        let _ = writeln!(text, "- **{}**: {}", program.name, program.what);
    }
    let failures: Vec<&Outcome> = ran().filter(|o| o.verdict == Verdict::Failed).collect();
    if !failures.is_empty() {
        text += "\n## What fails\n\n";
        for outcome in failures {
            let _ = writeln!(text, "- **{}**: {}", outcome.row(), why(outcome));
        }
    }
    text
}

/// Whether as many rows as must have neither vanished nor ambiguous packets.
pub(crate) fn clean_enough(outcomes: &[Outcome]) -> bool {
    let clean = ran(outcomes).filter(|o| o.clean).count();
    clean as f64 >= ran(outcomes).count() as f64 * CLEAN_SHARE
}

fn ran(outcomes: &[Outcome]) -> impl Iterator<Item = &Outcome> {
    outcomes.iter().filter(|o| !matches!(o.verdict, Verdict::Skipped(_)))
}

fn line(outcome: &Outcome) -> String {
    let verdict = match &outcome.verdict {
        Verdict::Passed => "passes".to_owned(),
        Verdict::Failed => "**fails**".to_owned(),
        Verdict::Skipped(why) => format!("skipped: {why}"),
    };
    let plain = |what: &str| outcome.check(what).map(cell).unwrap_or_default();
    let mut cells = vec![outcome.program.clone(), outcome.topology.clone()];
    let columns = [PACKETS, LOST, REFUSED, VANISHED, AMBIGUOUS, INCOMPLETE];
    cells.extend(columns.map(plain));
    let each = |name: &dyn Fn(Kind) -> String| {
        let of = |kind: Kind| outcome.check(&name(kind)).map(|c| (kind, cell(c)));
        KINDS.into_iter().filter_map(of).collect::<Vec<_>>()
    };
    let counts = each(&|kind| kind.name().to_owned());
    let counts: Vec<String> = counts.iter().map(|(k, c)| format!("{c} {}", k.name())).collect();
    let means: Vec<String> =
        each(&mean_of).into_iter().map(|(_, cell)| cell.replace(" µs", "")).collect();
    cells.extend([counts.join(", "), means.join(", "), verdict]);
    format!("| {} |\n", cells.join(" | "))
}

fn cell(check: &Check) -> String {
    let Check { netpath, witness, passed, .. } = check;
    let text =
        if netpath == witness { netpath.clone() } else { format!("{netpath} ≠ {witness}") };
    if *passed { text } else { format!("**{text}**") }
}

/// What it fails by.
fn why(outcome: &Outcome) -> String {
    let failed = outcome.checks.iter().filter(|check| !check.passed).map(|check| {
        let Check { what, netpath, witness, note, .. } = check;
        let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
        format!("{what} {netpath}, not {witness}{note}")
    });
    failed.chain(outcome.error.clone()).collect::<Vec<_>>().join("; ")
}
