//! The command line's documents: one page of help, man pages, shell completions.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Command;
use clap_complete::{Shell, generate};

/// Shells, and how their files are called.
const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "netpath.bash"), (Shell::Zsh, "_netpath"), (Shell::Fish, "netpath.fish")];

/// docs/cli.md.
pub(super) fn render(command: Command) -> String {
    let mut out =
        "# Command line\n\nWhat `netpath --help` and the help of each command say.\n".to_owned();
    let mut command = command.term_width(100).disable_help_subcommand(true);
    command.build();
    section(&mut out, &mut command, "netpath");
    out
}

fn section(out: &mut String, command: &mut Command, name: &str) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    *out += &format!("\n## {name}\n\n```\n{}\n```\n", help.join("\n").trim_end());
    for sub in command.get_subcommands_mut().filter(|c| c.get_name() != "help" && !c.is_hide_set())
    {
        let name = format!("{name} {}", sub.get_name());
        section(out, sub, &name);
    }
}

/// docs/man.
pub(super) fn man_pages(command: Command) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut pages = BTreeMap::new();
    let mut command = command.disable_help_subcommand(true);
    command.build();
    page(&command, &mut pages);
    pages
}

fn page(command: &Command, pages: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut text)
        .expect("a page is rendered into memory");
    pages.insert(PathBuf::from(format!("man/{name}.1")), text);
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        page(sub, pages);
    }
}

/// docs/completions.
pub(super) fn completions(command: &Command) -> BTreeMap<PathBuf, Vec<u8>> {
    let script = |(shell, file): (Shell, &str)| {
        let mut text = Vec::new();
        generate(shell, &mut command.clone(), "netpath", &mut text);
        (PathBuf::from("completions").join(file), text)
    };
    SHELLS.into_iter().map(script).collect()
}
