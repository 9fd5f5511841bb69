//! What is traced: interfaces, or those of containers, pods, processes, units and namespaces.

use clap::{ArgGroup, Args};

use crate::{inventory::Meant, spec::Spec};

/// Any of them has to be given.
pub(super) const SELECTED: &str = "selected";
const ALL: [&str; 7] = ["iface", "container", "pod", "pid", "unit", "netns", "all"];

/// What is traced. Each can be given several times, and with the others.
#[derive(Clone, Debug, Default, Args)]
#[command(group(ArgGroup::new(SELECTED).args(ALL).required(true).multiple(true)))]
pub struct Selection {
    /// The interface whose packets are traced; its path is found from there. It is looked up in each of what is
    /// named below, or web/eth0 in what is called web. Default there: that of the default route, or else the first
    /// that is up.
    #[arg(short, long, value_name = "IF")]
    pub iface: Vec<String>,
    /// Trace this container: its name, with or without its runtime (docker:web), or how its id begins.
    #[arg(long, value_name = "NAME|ID")]
    pub container: Vec<String>,
    /// Trace this pod of Kubernetes.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub pod: Vec<String>,
    /// Trace the network namespace of this process.
    #[arg(long, value_name = "PID")]
    pub pid: Vec<u32>,
    /// Trace the network namespace of this unit of systemd.
    #[arg(long, value_name = "UNIT")]
    pub unit: Vec<String>,
    /// Trace this network namespace, or look the interface up there: a name, a path or a pid.
    #[arg(long, value_name = "NAME|PATH|PID")]
    pub netns: Vec<String>,
    /// Trace everything that this host has, also what comes later; with one of the others, all that hangs together
    /// with it.
    #[arg(long, conflicts_with = "iface")]
    pub all: bool,
}

impl Selection {
    /// What is meant by it.
    pub fn spec(&self) -> Spec {
        let Self { iface, container, pod, pid, unit, netns, all } = self;
        let named = |names: &[String], of: fn(String) -> Meant| -> Vec<Meant> {
            names.iter().cloned().map(of).collect()
        };
        let pids = pid.iter().copied().map(Meant::Pid).collect();
        let homes = [
            named(container, Meant::Container),
            named(pod, Meant::Pod),
            pids,
            named(unit, Meant::Unit),
            named(netns, Meant::Netns),
        ];
        Spec { homes: homes.concat(), ifaces: iface.clone(), all: *all }
    }

    /// The only thing that was given, where that is the name of an interface.
    pub fn only_iface(&self) -> Option<&str> {
        let spec = self.spec();
        (spec.homes.is_empty() && spec.ifaces.len() == 1).then(|| self.iface[0].as_str())
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
        let text = str::to_owned;
        for (arguments, meant) in [
            (["--container", "docker:web"], Meant::Container(text("docker:web"))),
            (["--pod", "shop/web-1"], Meant::Pod(text("shop/web-1"))),
            (["--pid", "812"], Meant::Pid(812)),
            (["--unit", "nginx"], Meant::Unit(text("nginx"))),
            (["--netns", "blue"], Meant::Netns(text("blue"))),
        ] {
            let alone = parsed(&arguments).unwrap();
            assert_eq!(alone.spec(), Spec { homes: vec![meant.clone()], ..Spec::default() });
            let with = parsed(&[&arguments[..], &["--iface", "eth0"]].concat()).unwrap();
            assert_eq!(
                with.spec(),
                Spec { homes: vec![meant], ifaces: vec![text("eth0")], all: false }
            );
            assert_eq!(with.only_iface(), None);
        }
        assert_eq!(parsed(&["-i", "eth0"]).unwrap().only_iface(), Some("eth0"));
    }

    #[test]
    fn several_of_each_kind_are_meant_together() {
        let words = "--container web --netns blue -i eth0 --container app --pid 7 -i web/eth1";
        let words: Vec<&str> = words.split(' ').collect();
        let Spec { homes, ifaces, all } = parsed(&words).unwrap().spec();
        let container = |name: &str| Meant::Container(name.to_owned());
        let blue = Meant::Netns("blue".to_owned());
        assert_eq!(homes, [container("web"), container("app"), Meant::Pid(7), blue]);
        assert_eq!((ifaces, all), (vec!["eth0".to_owned(), "web/eth1".to_owned()], false));
    }

    #[test]
    fn everything_can_be_restricted_but_not_to_an_interface() {
        assert!(parsed(&["--all"]).unwrap().spec().all);
        assert_eq!(parsed(&["--all", "--netns", "blue"]).unwrap().spec().homes.len(), 1);
        assert!(parsed(&["--all", "--iface", "eth0"]).is_err());
    }

    #[test]
    fn one_at_least() {
        let error = parsed(&[]).unwrap_err();
        assert!(error.contains("--iface <IF>"), "{error}");
        assert!(parsed(&["--pid", "many"]).is_err());
    }
}
