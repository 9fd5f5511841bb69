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
