//! The live view of a trace in the lab's namespaces.

use std::os::unix::process::ExitStatusExt as _;

use netpath::lab::{
    Lab,
    traffic::{Load, Sizes, Traffic},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::pty::Pty;
use crate::{
    need_kernel,
    support::{bridge_nat, netpath},
};

/// A live view with traffic under it.
fn view(lab: &Lab, columns: u16, rows: u16) -> (Pty, Traffic) {
    let traffic =
        Traffic::start(lab, Load::UdpRequests(Sizes::default()), false).expect("it flows");
    let focus = lab.topology().focus;
    let netns = lab.full_name(focus.0);
    let mut command = netpath(&["trace", "--iface", focus.1, "--netns", &netns]);
    let mut pty = Pty::start(&mut command, columns, rows);
    pty.wait_for_text("outbound");
    (pty, traffic)
}

fn signal(pty: &Pty, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pty.child.id()).unwrap()), signal).unwrap();
}

/// The terminal is as it was before.
fn assert_given_back(pty: &Pty) {
    assert_eq!(pty.settings(), pty.before, "the terminal's settings");
    assert!(!pty.screen().alternate_screen(), "the screen from before is not back");
    assert!(!pty.screen().hide_cursor(), "the cursor is hidden");
}

#[test]
fn keys_change_the_view_and_quitting_prints_the_summary() {
    need_kernel!();
    let lab = bridge_nat();
    let (mut pty, mut traffic) = view(&lab, 120, 40);
    assert!(pty.screen().alternate_screen());
    pty.wait_for("rows of the path", |screen| {
        let text = screen.contents();
        ["conntrack", "host/br0", "packets/s", "q quit", "p99"].iter().all(|w| text.contains(w))
    });

    pty.keys("g");
    pty.wait_for_text("breakdown by group");
    pty.keys("gs");
    pty.wait_for_text("breakdown, by share");
    pty.keys("d");
    pty.wait_for_text("inbound");
    pty.keys("?");
    pty.wait_for_text("forget what was gathered so far");
    pty.keys("\u{1b}");
    pty.wait_for("help to close", |s| !s.contents().contains("forget what was gathered"));
    pty.keys("/nat\r");
    pty.wait_for("the filter to hold", |screen| {
        let text = screen.contents();
        text.contains("with “nat”") && !text.contains("host/br0  ")
    });
    pty.keys("\u{1b}");
    pty.wait_for("the filter to go", |s| !s.contents().contains("with “nat”"));
    pty.keys("p");
    pty.wait_for_text("paused");
    pty.keys("p");
    pty.wait_for("the pause to end", |s| !s.contents().contains("paused"));
    pty.keys("\r");
    pty.wait_for_text("measured by");

    pty.resize(80, 24);
    pty.wait_for("the small screen", |screen| {
        screen.rows(0, 80).last().is_some_and(|row| row.contains("q quit"))
    });

    pty.keys("q");
    let status = pty.wait_for_end();
    traffic.stop().unwrap();
    assert_eq!(status.code(), Some(0), "{}", pty.text());
    assert_given_back(&pty);
    assert!(pty.text().contains("By group:"), "no summary on the screen:\n{}", pty.text());
}

#[test]
fn a_reset_begins_anew() {
    need_kernel!();
    let lab = bridge_nat();
    let (mut pty, mut traffic) = view(&lab, 120, 40);
    pty.wait_for_text("live 0:02");
    pty.keys("r");
    pty.wait_for_text("live 0:00");
    pty.wait_for_text("live 0:01");
    pty.keys("\u{3}");
    assert_eq!(pty.wait_for_end().code(), Some(0));
    traffic.stop().unwrap();
}

#[test]
fn sigterm_gives_the_terminal_back_and_prints_the_summary() {
    need_kernel!();
    let lab = bridge_nat();
    let (mut pty, mut traffic) = view(&lab, 100, 30);
    signal(&pty, Signal::SIGTERM);
    let status = pty.wait_for_end();
    traffic.stop().unwrap();
    assert_eq!(status.code(), Some(0), "{}", pty.text());
    assert_given_back(&pty);
    assert!(pty.text().contains("By group:"), "no summary on the screen:\n{}", pty.text());
}

#[test]
fn a_second_signal_ends_at_once_and_gives_the_terminal_back() {
    need_kernel!();
    let lab = bridge_nat();
    let (mut pty, mut traffic) = view(&lab, 100, 30);
    // Both are waiting when it goes on.
    for s in [Signal::SIGSTOP, Signal::SIGTERM, Signal::SIGINT, Signal::SIGCONT] {
        signal(&pty, s);
    }
    let status = pty.wait_for_end();
    traffic.stop().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(130), None), "{}", pty.text());
    assert_given_back(&pty);
}

#[test]
fn the_time_that_was_asked_for_ends_the_view() {
    need_kernel!();
    let lab = bridge_nat();
    let netns = lab.full_name("host");
    let mut command =
        netpath(&["trace", "--iface", "veth0", "--netns", &netns, "--for", "1s", "--ascii"]);
    let mut pty = Pty::start(&mut command, 100, 30);
    // IPv6 may have said something by then.
    pty.wait_for_text("veth0 in host");
    assert!(pty.text().is_ascii(), "{}", pty.text());
    assert_eq!(pty.wait_for_end().code(), Some(0));
    assert_given_back(&pty);
}

#[test]
fn without_a_terminal_there_is_no_live_view_and_it_says_so() {
    need_kernel!();
    let lab = bridge_nat();
    let netns = lab.full_name("host");
    let output = netpath(&["trace", "--iface", "veth0", "--netns", &netns, "--format", "tui"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--format summary"), "{said}");
}
