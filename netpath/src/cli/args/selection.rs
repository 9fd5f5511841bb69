//! What is traced: an interface, or that of a container, a pod, a process, a unit or a namespace.

use clap::{ArgGroup, Args};

use crate::inventory::Meant;

/// Any of them has to be given.
pub(super) const SELECTED: &str = "selected";
/// What says which network namespace is meant; one at a time.
const HOMES: [&str; 5] = ["container", "pod", "pid", "unit", "netns"];

/// What is traced.
#[derive(Clone, Debug, Default, Args)]
#[command(
    group(ArgGroup::new("home").args(HOMES)),
    group(ArgGroup::new(SELECTED).args(["iface"]).args(HOMES).required(true).multiple(true))
)]
pub struct Selection {
    /// The interface whose packets are traced; its path is found from there. Default in what is named below: that
    /// of the default route, or else the first that is up.
    #[arg(short, long, value_name = "IF")]
    pub iface: Option<String>,
    /// Trace this container: its name, with or without its runtime (docker:web), or how its id begins.
    #[arg(long, value_name = "NAME|ID")]
    pub container: Option<String>,
    /// Trace this pod of Kubernetes.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub pod: Option<String>,
    /// Trace the network namespace of this process.
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Trace the network namespace of this unit of systemd.
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Trace this network namespace, or look the interface up there: a name, a path or a pid.
    #[arg(long, value_name = "NAME|PATH|PID")]
    pub netns: Option<String>,
}

impl Selection {
    /// Whose network namespace is meant; the own one where nothing says.
    pub fn meant(&self) -> Option<Meant<'_>> {
        let Self { container, pod, pid, unit, netns, .. } = self;
        let by_name = container.as_deref().map(Meant::Container);
        by_name
            .or_else(|| pod.as_deref().map(Meant::Pod))
            .or_else(|| pid.map(Meant::Pid))
            .or_else(|| unit.as_deref().map(Meant::Unit))
            .or_else(|| netns.as_deref().map(Meant::Netns))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        selection: Selection,
    }

    fn parsed(arguments: &[&str]) -> Result<Selection, String> {
        let cli = Cli::try_parse_from([&["trace"], arguments].concat());
        cli.map(|cli| cli.selection).map_err(|error| error.to_string())
    }

    #[test]
    fn any_of_them_says_what_is_meant() {
        for (arguments, meant) in [
            (["--container", "docker:web"], Meant::Container("docker:web")),
            (["--pod", "shop/web-1"], Meant::Pod("shop/web-1")),
            (["--pid", "812"], Meant::Pid(812)),
            (["--unit", "nginx"], Meant::Unit("nginx")),
            (["--netns", "blue"], Meant::Netns("blue")),
        ] {
            let alone = parsed(&arguments).unwrap();
            assert_eq!((alone.meant(), alone.iface.as_deref()), (Some(meant), None));
            let with = parsed(&[&arguments[..], &["--iface", "eth0"]].concat()).unwrap();
            assert_eq!((with.meant(), with.iface.as_deref()), (Some(meant), Some("eth0")));
        }
        assert_eq!(parsed(&["-i", "eth0"]).unwrap().meant(), None);
    }

    #[test]
    fn one_at_a_time_and_one_at_least() {
        let error = parsed(&["--container", "web", "--netns", "blue"]).unwrap_err();
        assert!(error.contains("'--container <NAME|ID>' cannot be used with"), "{error}");
        assert!(error.contains("'--netns <NAME|PATH|PID>'"), "{error}");
        let error = parsed(&[]).unwrap_err();
        assert!(error.contains("--iface <IF>|--container <NAME|ID>|--pod"), "{error}");
    }
}
