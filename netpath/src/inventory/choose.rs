//! What somebody means: the network namespace of a container, a pod, a process, a unit, or one by its name.
//!
//! In: words. Out: one [`Netns`], or what is near, of every kind, or what it could be.

use std::{cell::OnceCell, collections::BTreeMap};

use thiserror::Error;

use super::{
    Census, Container,
    census::{Called, Resident},
    runtimes::Runtimes,
};
use crate::netns::{self, Netns, NetnsError, close_names};

/// Digits of an id that choose a container, at least.
const ID_MIN: usize = 4;
/// What is listed where nothing is near.
const LISTED: usize = 8;

/// By what a namespace is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// `web`, `docker:web`, or the beginning of an id.
    Container(String),
    /// `NAMESPACE/NAME`, or a name that only one has.
    Pod(String),
    Pid(u32),
    /// With or without `.service`.
    Unit(String),
    /// A name, a path or a pid.
    Netns(String),
    /// Whatever has this name, as it is shown: any of these, or `host`.
    Named(String),
}

#[derive(Debug, Error)]
pub enum ChooseError {
    #[error("no {what} {wanted}{hint}", hint = hint(near, there))]
    Nothing {
        what: &'static str,
        wanted: String,
        /// What resembles it, as `KIND NAME`.
        near: Vec<String>,
        /// Where nothing does: what there is.
        there: Vec<String>,
    },
    #[error("{what} {wanted} can be any of {}: say which", candidates.join(", "))]
    Several { what: &'static str, wanted: String, candidates: Vec<String> },
    #[error("container {container} is there, but does not run")]
    Stopped { container: String },
    #[error("{what} {wanted} has ended meanwhile")]
    Gone { what: &'static str, wanted: String },
    #[error(transparent)]
    Netns(#[from] NetnsError),
}

fn hint(near: &[String], there: &[String]) -> String {
    match (near, there) {
        ([], []) => "; there are no other network namespaces that can be seen".to_owned(),
        ([], there) if there.len() > LISTED => {
            let first = there[..LISTED].join(", ");
            format!("; there are {first} and {} more: `netpath ls`", there.len() - LISTED)
        }
        ([], there) => format!("; there are {}", there.join(", ")),
        (near, _) => format!("; close: {}", near.join(", ")),
    }
}

impl Meant {
    fn what(&self) -> &'static str {
        match self {
            Self::Container(_) => "container",
            Self::Pod(_) => "pod",
            Self::Pid(_) => "process",
            Self::Unit(_) => "unit",
            Self::Netns(_) => "network namespace",
            Self::Named(_) => "container or network namespace",
        }
    }

    fn wanted(&self) -> String {
        match self {
            Self::Pid(pid) => pid.to_string(),
            Self::Container(text)
            | Self::Pod(text)
            | Self::Unit(text)
            | Self::Netns(text)
            | Self::Named(text) => text.clone(),
        }
    }
}

/// Finds the namespace that is meant; `interfaces` are those that could have been meant instead. The machine is
/// looked at once at most, for whatever is asked for with the same `census`.
pub fn find(
    meant: &Meant,
    interfaces: &[String],
    census: &OnceCell<Census>,
) -> Result<Netns, ChooseError> {
    if let Meant::Netns(wanted) = meant {
        // That needs no look at all others.
        match Netns::find(wanted) {
            Err(NetnsError::NotFound { .. }) => {}
            found => return Ok(found?),
        }
    }
    let gone = || ChooseError::Gone { what: meant.what(), wanted: meant.wanted() };
    if let Meant::Pid(pid) = meant
        && netns::inode_of(*pid).is_some()
    {
        return Ok(Netns::open(&netns::path_of(*pid), None)?);
    }
    let census = census.get_or_init(Census::take);
    let inode = choose(census, meant, interfaces).map_err(|error| match meant {
        Meant::Container(wanted) if matches!(error, ChooseError::Nothing { .. }) => {
            stopped(wanted).unwrap_or(error)
        }
        _ => error,
    })?;
    census.open(inode).ok_or_else(gone)
}

/// Where a container of which files tell is meant.
fn stopped(wanted: &str) -> Option<ChooseError> {
    let (runtime, name) = wanted.split_once(':').unwrap_or(("", wanted));
    let known = Runtimes::here().on_disk(name);
    let found = known.iter().find(|c| runtime.is_empty() || c.runtime == runtime)?;
    Some(ChooseError::Stopped { container: told(found) })
}

/// The inode of the namespace that is meant.
fn choose(census: &Census, meant: &Meant, interfaces: &[String]) -> Result<u64, ChooseError> {
    let candidates: Vec<(u64, String)> = match meant {
        Meant::Container(wanted) => containers(census, wanted),
        Meant::Pod(wanted) => pods(census, wanted),
        Meant::Unit(wanted) => units(census, wanted),
        Meant::Named(wanted) => any(census, wanted),
        Meant::Pid(_) | Meant::Netns(_) => Vec::new(),
    };
    let (what, wanted) = (meant.what(), meant.wanted());
    // Several in one namespace are as good as one.
    let mut by_inode: BTreeMap<u64, String> = BTreeMap::new();
    for (inode, label) in candidates {
        by_inode.entry(inode).or_insert(label);
    }
    match by_inode.len() {
        0 => {
            let all = named(census, interfaces);
            let near = near_in(&wanted, &all);
            let there = all.into_iter().filter(|one| one.kind != INTERFACE);
            let there = there.filter(|one| one.own).map(|one| one.label()).collect();
            Err(ChooseError::Nothing { what, wanted, near, there })
        }
        1 => Ok(*by_inode.keys().next().unwrap_or(&0)),
        _ => {
            let candidates = by_inode.into_values().collect();
            Err(ChooseError::Several { what, wanted, candidates })
        }
    }
}

/// Containers that a text can mean: those with that name; else the one with that id, or whose id begins so.
fn containers(census: &Census, wanted: &str) -> Vec<(u64, String)> {
    let all = || {
        census.residents().flat_map(|(inode, resident)| {
            resident.owner.containers.iter().map(move |container| (inode, container))
        })
    };
    let (runtime, rest) = wanted.split_once(':').unwrap_or(("", wanted));
    let of_runtime = |container: &Container| runtime.is_empty() || container.runtime == runtime;
    let ways: [&dyn Fn(&Container) -> bool; 3] = [
        &|container| container.name.as_deref() == Some(rest),
        &|container| container.id == rest,
        &|container| rest.len() >= ID_MIN && container.id.starts_with(rest),
    ];
    let found = ways.into_iter().map(|way| {
        let fits = all().filter(|(_, container)| of_runtime(container) && way(container));
        fits.map(|(inode, container)| (inode, told(container))).collect::<Vec<_>>()
    });
    found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

/// A container, so that no other is meant: `docker:web (4e5c5ce0a1b2)`.
fn told(container: &Container) -> String {
    let id = container.short_id();
    let pod = container.pod.as_ref().map_or_else(String::new, |pod| format!(" of pod {pod}"));
    format!("{} ({id}{pod})", container.qualified())
}

fn pods(census: &Census, wanted: &str) -> Vec<(u64, String)> {
    let pods = census
        .residents()
        .filter_map(|(inode, resident)| Some((inode, resident.owner.pod()?)))
        .filter(|(_, pod)| pod.to_string() == wanted || pod.name == wanted);
    pods.map(|(inode, pod)| (inode, pod.to_string())).collect()
}

fn units(census: &Census, wanted: &str) -> Vec<(u64, String)> {
    let service = format!("{wanted}.service");
    let named = |name: &str| {
        let units = census.units().filter(move |(unit, _)| *unit == name);
        units.map(|(unit, inode)| (inode, unit.to_owned())).collect::<Vec<_>>()
    };
    let exact = named(wanted);
    if exact.is_empty() { named(&service) } else { exact }
}

/// Whatever a name stands for: what is shown under it, or a namespace, container, pod or unit that has it.
fn any(census: &Census, wanted: &str) -> Vec<(u64, String)> {
    let shown = census.residents().filter(|(_, resident)| resident.has_name(wanted));
    let shown = shown.map(|(inode, resident)| {
        (inode, census.option(inode).unwrap_or_else(|| resident.kind().to_owned()))
    });
    let ways =
        [shown.collect(), containers(census, wanted), pods(census, wanted), units(census, wanted)];
    ways.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

const INTERFACE: &str = "interface";

/// Something with a name.
#[derive(Debug)]
struct Named {
    kind: &'static str,
    name: String,
    /// Whether it has a network namespace of its own.
    own: bool,
}

impl Named {
    fn label(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}

/// All that has a name.
fn named(census: &Census, interfaces: &[String]) -> Vec<Named> {
    let mut all = Vec::new();
    let mut add = |kind, name: &str, own| {
        all.push(Named { kind, name: name.to_owned(), own });
    };
    for (_, resident) in census.residents() {
        let own = !resident.is_initial();
        for container in &resident.owner.containers {
            if container.name.is_some() || container.pod.is_none() {
                add("container", container.called(), own);
            }
        }
        if let Some(pod) = resident.owner.pod() {
            add("pod", &pod.to_string(), own);
        }
        match resident.called() {
            Called::Netns(name) | Called::Lab(name) => add("netns", name, own),
            Called::Process(process) => add("pid", &process.pid.to_string(), own),
            _ => {}
        }
    }
    for (unit, inode) in census.units() {
        let own = census.resident(inode).is_some_and(|r| r.called() == Called::Unit(unit));
        add("unit", unit, own);
    }
    for interface in interfaces {
        add(INTERFACE, interface, false);
    }
    all
}

/// What resembles a name, whatever it is; the nearest first.
pub fn near(census: &Census, wanted: &str) -> Vec<String> {
    near_in(wanted, &named(census, &[]))
}

fn near_in(wanted: &str, all: &[Named]) -> Vec<String> {
    // A pod is also known by what follows the slash, and a unit by what comes before the dot.
    let short = |one: &Named| -> String {
        let text = match one.kind {
            "pod" => one.name.rsplit('/').next(),
            "unit" => one.name.rsplit_once('.').map(|(name, _)| name),
            _ => None,
        };
        text.unwrap_or(&one.name).to_owned()
    };
    let whole = |one: &Named| wanted.contains(['/', '.']) || one.kind == "pid";
    let names: Vec<String> =
        all.iter().map(|one| if whole(one) { one.name.clone() } else { short(one) }).collect();
    let wanted = wanted.rsplit_once(':').map_or(wanted, |(_, name)| name);
    let mut found = Vec::new();
    for close in close_names(wanted, names.iter().map(String::as_str)) {
        let fits = all.iter().zip(&names).filter(|(_, name)| **name == close);
        found.extend(fits.map(|(one, _)| one.label()));
    }
    found.truncate(LISTED);
    found
}

impl Resident {
    /// What kind of thing gives it its name, in a word.
    pub(super) fn kind(&self) -> &'static str {
        match self.called() {
            Called::Host => "host",
            Called::Lab(_) | Called::Netns(_) | Called::MadeUp(_) | Called::Nobody => "netns",
            Called::Pod(_) => "pod",
            Called::Container(_) | Called::Id(_) => "container",
            Called::Unit(_) => "unit",
            Called::Process(_) => "process",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::census::tests::census;

    fn machine() -> Census {
        census(
            &[
                (101, 1, "", "sshd.service"),
                (102, 2, "docker:aaaa1111", ""),
                (103, 3, "podman:bbbb2222", ""),
                (104, 4, "docker:aaab3333", ""),
                (105, 5, "docker:cccc4444", ""),
                (106, 5, "docker:dddd5555", ""),
                (107, 6, "docker:eeee6666", ""),
                (108, 7, "", "db.service"),
            ],
            &[(8, "web2"), (9, "blue")],
            &[
                ("docker:aaaa1111", "web", ""),
                ("podman:bbbb2222", "app", ""),
                ("docker:aaab3333", "app", ""),
                ("docker:cccc4444", "", "shop/cart-1"),
                ("docker:dddd5555", "nginx", "shop/cart-1"),
                ("docker:eeee6666", "nginx", "test/cart-1"),
            ],
        )
    }

    fn chosen(meant: impl Fn(String) -> Meant, wanted: &str) -> Result<u64, String> {
        let interfaces = ["eth0".to_owned(), "docker0".to_owned()];
        choose(&machine(), &meant(wanted.to_owned()), &interfaces)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_container_is_meant_by_name_or_id() {
        for wanted in ["web", "docker:web", "aaaa1111", "aaaa1", "docker:aaaa"] {
            assert_eq!(chosen(Meant::Container, wanted), Ok(2), "{wanted}");
        }
        assert_eq!(chosen(Meant::Container, "podman:app"), Ok(3));
        // Both of a pod's live in one namespace.
        assert_eq!(chosen(Meant::Container, "cccc4444"), Ok(5));
        for wanted in ["podman:web", "aaa", "", ":", "docker:", "aaaa1111x"] {
            assert!(chosen(Meant::Container, wanted).is_err(), "{wanted}");
        }
    }

    #[test]
    fn several_that_can_be_meant_are_listed() {
        let error = chosen(Meant::Container, "app").unwrap_err();
        let candidates = "podman:app (bbbb2222), docker:app (aaab3333)";
        assert_eq!(error, format!("container app can be any of {candidates}: say which"));
        let error = chosen(Meant::Container, "nginx").unwrap_err();
        assert!(error.contains("docker:nginx (dddd5555 of pod shop/cart-1)"), "{error}");
    }

    #[test]
    fn a_pod_is_meant_by_namespace_and_name() {
        assert_eq!(chosen(Meant::Pod, "shop/cart-1"), Ok(5));
        assert_eq!(chosen(Meant::Pod, "test/cart-1"), Ok(6));
        let error = chosen(Meant::Pod, "cart-1").unwrap_err();
        let candidates = "shop/cart-1, test/cart-1";
        assert_eq!(error, format!("pod cart-1 can be any of {candidates}: say which"));
        let error = chosen(Meant::Pod, "shop/cart-2").unwrap_err();
        assert!(error.starts_with("no pod shop/cart-2; close: pod shop/cart-1"), "{error}");
    }

    #[test]
    fn a_unit_is_meant_with_and_without_its_ending() {
        assert_eq!(chosen(Meant::Unit, "db.service"), Ok(7));
        assert_eq!(chosen(Meant::Unit, "db"), Ok(7));
        assert_eq!(chosen(Meant::Unit, "sshd"), Ok(1));
        assert!(chosen(Meant::Unit, "d").is_err());
    }

    #[test]
    fn whatever_has_a_name_is_meant_by_it() {
        for (wanted, inode) in [("web", 2), ("web2", 8), ("blue", 9), ("db", 7), ("bbbb2", 3)] {
            assert_eq!(chosen(Meant::Named, wanted), Ok(inode), "{wanted}");
        }
        let error = chosen(Meant::Named, "app").unwrap_err();
        assert!(error.contains("can be any of"), "{error}");
        let error = chosen(Meant::Named, "blu").unwrap_err();
        assert_eq!(error, "no container or network namespace blu; close: netns blue");
    }

    #[test]
    fn what_fits_nothing_is_told_with_what_is_near_of_every_kind() {
        let error = chosen(Meant::Container, "webb").unwrap_err();
        assert_eq!(error, "no container webb; close: container web, netns web2");
        let error = chosen(Meant::Container, "docker1").unwrap_err();
        assert_eq!(error, "no container docker1; close: interface docker0");
        let error = chosen(Meant::Netns, "web").unwrap_err();
        assert_eq!(error, "no network namespace web; close: container web, netns web2");
        let error = chosen(Meant::Unit, "shd").unwrap_err();
        assert_eq!(error, "no unit shd; close: unit sshd.service");
    }

    #[test]
    fn where_nothing_is_near_what_there_is_is_listed() {
        let error = chosen(Meant::Pod, "zzzzz").unwrap_err();
        assert!(error.starts_with("no pod zzzzz; there are container web, "), "{error}");
        assert!(error.ends_with(" and 2 more: `netpath ls`"), "{error}");
        let nothing =
            choose(&Census::default(), &Meant::Container("web".to_owned()), &[]).unwrap_err();
        let none = "no container web; there are no other network namespaces that can be seen";
        assert_eq!(nothing.to_string(), none);
    }
}
