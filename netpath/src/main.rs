//! The `netpath` command: parses the command line, runs it, and says how it went.

use std::process::ExitCode;

fn main() -> ExitCode {
    netpath::cli::main()
}
