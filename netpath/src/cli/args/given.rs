//! What is to be traced, where it can also be left out.
//!
//! clap's own optional groups don't look into groups of groups: what is required in there stays
//! required, and what is given there is not noticed.

use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

use super::{Gather, selection::SELECTED};

/// What only means something where it is said what to trace.
const WITH_SELECTION: &[&str] = &["for_", "count", "backend", "filter"];

/// A [`Gather`], if it is said what to trace.
#[derive(Clone, Debug)]
pub struct Given(pub Option<Gather>);

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = matches.contains_id(SELECTED);
        Ok(Self(given.then(|| Gather::from_arg_matches(matches)).transpose()?))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        let command =
            Gather::augment_args(command).mut_group(SELECTED, |group| group.required(false));
        WITH_SELECTION.iter().fold(command, |c, id| c.mut_arg(id, |arg| arg.requires(SELECTED)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Explain;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        explain: Explain,
    }

    fn explain(arguments: &[&str]) -> Result<Explain, clap::Error> {
        Cli::try_parse_from([&["explain"], arguments].concat()).map(|cli| cli.explain)
    }

    #[test]
    fn a_recording_or_an_interface_can_be_explained() {
        let file = explain(&["a.npz"]).unwrap();
        assert_eq!((file.file.unwrap().to_str(), file.gather.0.is_none()), (Some("a.npz"), true));
        for arguments in [&["--iface", "veth0"][..], &["--iface", "veth0", "--for", "1s"]] {
            let gather = explain(arguments).unwrap().gather.0.expect("an interface is given");
            assert_eq!(gather.selection.iface, ["veth0"]);
        }
        let gather = explain(&["--container", "web", "--for", "1s"]).unwrap().gather.0;
        assert_eq!(gather.unwrap().selection.container, ["web"]);
        assert!(explain(&[]).unwrap().gather.0.is_none());
    }

    #[test]
    fn what_needs_a_selection_says_so() {
        for arguments in [&["a.npz", "tcp"][..], &["a.npz", "--for", "1s"]] {
            let error = explain(arguments).unwrap_err().to_string();
            assert!(error.contains("--iface <IF>"), "{arguments:?}: {error}");
        }
    }
}
