//! The live view of a snapshot that stands still: no kernel is needed.

use std::{path::Path, process::Command, sync::Arc};

use netpath::{
    replay,
    tui::{Look, Options, Still, run},
};

use super::pty::Pty;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bridge-nat.npz");

/// Not a test of its own: runs in a terminal, and panics when a report is to be written.
#[test]
#[ignore = "run by the other tests, in a terminal"]
fn in_a_terminal() {
    let snapshot = replay::snapshot(Path::new(FIXTURE)).unwrap();
    let options = Options {
        look: Look::default(),
        interrupted: || false,
        write: &|_| panic!("this was asked for"),
    };
    run(&mut Still::new(Arc::new(snapshot)), &options).unwrap();
}

/// The test above, as a program in a terminal.
fn view(columns: u16, rows: u16) -> Pty {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "live::recorded::in_a_terminal"]);
    let mut pty = Pty::start(&mut command, columns, rows);
    pty.wait_for_text("breakdown");
    pty
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_told() {
    let mut pty = view(120, 40);
    assert!(pty.screen().alternate_screen() && pty.settings() != pty.before);
    pty.keys("w");
    let status = pty.wait_for_end();
    assert!(!status.success());
    assert_eq!(pty.settings(), pty.before);
    assert!(!pty.screen().alternate_screen() && !pty.screen().hide_cursor());
    assert!(pty.text().contains("this was asked for"), "{}", pty.text());
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_back() {
    let mut shell = Command::new("sh");
    shell.args(["-i"]).env("PS1", "shell> ").env_remove("ENV");
    let mut pty = Pty::start(&mut shell, 120, 40);
    pty.wait_for_text("shell> ");
    let shells_own = pty.settings();
    let netpath = crate::support::program().into_string().unwrap();
    pty.keys(&format!("{netpath} report {FIXTURE} --format tui\r"));
    pty.wait_for_text("breakdown");
    let taken = pty.settings();
    for _ in 0..2 {
        pty.keys("\u{1a}");
        pty.wait_for("the shell", |s| !s.alternate_screen() && s.contents().ends_with("shell> "));
        assert!(!pty.screen().hide_cursor());
        assert!(pty.text().contains("Stopped"), "{}", pty.text());
        assert_eq!(pty.settings(), shells_own);
        pty.keys("fg\r");
        pty.wait_for("the view", |s| {
            s.alternate_screen() && s.contents().contains("breakdown") && s.hide_cursor()
        });
        assert_eq!(pty.settings(), taken);
    }
    pty.keys("q");
    pty.wait_for("the shell", |s| !s.alternate_screen() && s.contents().ends_with("shell> "));
    pty.keys("exit\r");
    assert!(pty.wait_for_end().success());
}

#[test]
fn every_size_is_drawn_while_it_changes() {
    let mut pty = view(120, 40);
    for (columns, rows) in [(200, 60), (80, 24), (40, 10), (20, 5), (120, 40)] {
        pty.resize(columns, rows);
        pty.wait_for("a screen of this size", |screen| {
            let last = screen.rows(0, columns).last().unwrap_or_default();
            if columns < 30 {
                screen.contents().contains("too small")
            } else {
                last.contains("quit")
            }
        });
    }
    pty.keys("q");
    assert!(pty.wait_for_end().success());
    assert_eq!(pty.settings(), pty.before);
}

#[test]
fn a_recording_is_taken_where_an_interface_is() {
    let run = |arguments: &[&str]| {
        let output = crate::support::run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), said)
    };
    let report = run(&["report", FIXTURE]);
    assert_eq!(report.0, Some(0), "{}", report.2);
    assert!(report.1.contains("socket wake-up"), "{}", report.1);
    assert_eq!(run(&["trace", "--iface", FIXTURE]), report);
    let explained = run(&["explain", FIXTURE]);
    assert_eq!(explained.0, Some(0), "{}", explained.2);
    assert!(explained.1.contains("the reader has to be woken"), "{}", explained.1);
    assert_eq!(run(&["explain", "--iface", FIXTURE]), explained);
    let (status, _, said) = run(&["trace", "--iface", FIXTURE, "tcp"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("is a recording"), "{said}");
}
