//! Makes the README's picture of the live view: a real trace of the lab's NAT path, in a
//! pseudo-terminal, drawn as SVG. `cargo xtask screenshot` runs it; it needs root.

#[path = "../../tests/live/pty.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod pty;
mod svg;

use std::{env, fs, process::Command};

/// Columns and rows.
const SIZE: (u16, u16) = (132, 38);

fn main() {
    let mut arguments = env::args().skip(1);
    let (Some(binary), Some(picture)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: screenshot NETPATH FILE.svg");
        std::process::exit(2);
    };
    let mut command = Command::new(binary);
    command.args(["lab", "run", "bridge-nat", "--for", "60s", "--format", "tui"]);
    let mut pty = pty::Pty::start(&mut command, SIZE.0, SIZE.1);
    pty.wait_for_text("live 0:20");
    // To the dearest hop, the one that is explained at the right.
    pty.keys("G");
    pty.wait_for_text("live 0:22");
    let drawn = svg::of(pty.screen());
    pty.keys("q");
    let status = pty.wait_for_end();
    assert!(status.success(), "{}", pty.text());
    fs::write(&picture, drawn).expect("the picture can be written");
}
