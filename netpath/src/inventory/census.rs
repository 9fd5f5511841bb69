//! Who lives in which network namespace, and what the namespace is therefore called.
//!
//! In: processes, names of namespaces, what runtimes know of containers. Out: by a namespace's inode an
//! [`Owner`], a name that no other one has, and the option that chooses it. All is read once, so that a thousand
//! namespaces cost one look at `/proc`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::Mutex,
};

use super::{
    Container, Owner, Pod, Process,
    cgroup::Id,
    processes::{self, Seen},
    runtimes::{Known, Runtimes},
};
use crate::{
    lab,
    netns::{self, Netns},
};

/// What was found.
#[derive(Debug, Default)]
pub struct Census {
    /// By inode.
    residents: BTreeMap<u64, Resident>,
    /// By unit: where its first process is.
    units: BTreeMap<String, u64>,
}

/// One namespace.
#[derive(Debug, Default)]
pub(super) struct Resident {
    initial: bool,
    /// In /run/netns, or where Docker keeps its own.
    pub(super) named: Option<String>,
    /// Where it can be opened.
    paths: Vec<PathBuf>,
    /// Its first process; 0 where there is none.
    first: u32,
    pub(super) owner: Owner,
    name: String,
    /// How the container that gives it its name is chosen.
    container: String,
}

/// What gives a namespace its name: the first of these that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Called<'a> {
    /// It is the initial one.
    Host,
    /// A name in a lab, which is short for this one.
    Lab(&'a str),
    Pod(&'a Pod),
    Container(&'a Container),
    /// A name that somebody has given it.
    Netns(&'a str),
    /// A container of which nothing is known but the id.
    Id(&'a Container),
    Unit(&'a str),
    /// A name that a runtime has made up.
    MadeUp(&'a str),
    Process(&'a Process),
    Nobody,
}

impl Census {
    /// Looks at the whole machine.
    pub fn take() -> Self {
        let runtimes = Runtimes::here();
        let seen = processes::all(&runtimes.tasks());
        let ids = seen.iter().filter_map(|seen| seen.belongs.container.clone()).collect();
        let known = runtimes.describe(&ids);
        known.notes.iter().for_each(|note| warn_once(note));
        let named = netns::named().into_iter().filter_map(|(path, name)| {
            let inode = fs::metadata(&path).ok()?.ino();
            Some((inode, name, path))
        });
        let initial = netns::initial();
        let comm = |pid| netns::comm(pid).unwrap_or_default();
        Self::of(&seen, named, initial, &known, &processes::started, &comm)
    }

    fn of(
        seen: &[Seen],
        named: impl Iterator<Item = (u64, String, PathBuf)>,
        initial: Option<u64>,
        known: &Known,
        started: &dyn Fn(u32) -> u64,
        comm: &dyn Fn(u32) -> String,
    ) -> Self {
        let mut this = Self::default();
        for (inode, name, path) in named {
            let resident = this.residents.entry(inode).or_default();
            resident.named.get_or_insert(name);
            resident.paths.push(path);
        }
        for process in seen {
            let resident = this.residents.entry(process.netns).or_default();
            if resident.first == 0 {
                resident.first = process.pid;
            }
            if resident.owner.process.is_none() && Some(process.netns) != initial {
                let name = comm(process.pid);
                resident.owner.process = Some(Process { pid: process.pid, name });
            }
            // One more in case that one ends.
            if resident.paths.len() < 2 {
                resident.paths.push(netns::path_of(process.pid));
            }
        }
        if let Some(initial) = initial {
            this.residents.entry(initial).or_default().initial = true;
        }
        let containers = homes(seen, |seen| seen.belongs.container.as_ref(), started);
        let mut containers: Vec<(&Id, Home)> = containers.into_iter().collect();
        containers.sort_by_key(|(_, home)| (home.netns, started(home.pid), home.pid));
        for (id, home) in containers {
            if let (Some(resident), Some(container)) =
                (this.residents.get_mut(&home.netns), known.containers.get(id))
            {
                resident.owner.containers.push(container.clone());
            }
        }
        let units = homes(seen, |seen| seen.belongs.unit.as_ref(), started);
        for (unit, home) in &units {
            this.units.insert((*unit).clone(), home.netns);
            if let Some(resident) = this.residents.get_mut(&home.netns)
                && !resident.initial
                && resident.owner.containers.is_empty()
            {
                resident.owner.unit.get_or_insert_with(|| (*unit).clone());
            }
        }
        this.give_names();
        this
    }

    /// Gives each namespace the name that people use, with more where two would have the same.
    fn give_names(&mut self) {
        let mut taken: BTreeMap<String, u32> = BTreeMap::new();
        let mut by_option: BTreeMap<String, u32> = BTreeMap::new();
        for resident in self.residents.values() {
            *taken.entry(resident.called().name()).or_default() += 1;
            for container in &resident.owner.containers {
                *by_option.entry(container.called().to_owned()).or_default() += 1;
                *by_option.entry(container.qualified()).or_default() += 1;
            }
        }
        let is_taken = |name: &str| taken.get(name).is_some_and(|n| *n > 1);
        let mut given = BTreeSet::new();
        for (inode, resident) in &mut self.residents {
            let called = resident.called();
            let mut name = called.name();
            if is_taken(&name) {
                name = called.more();
            }
            // Labs that run at the same time have the same names, each for itself.
            if !given.insert(name.clone()) && !matches!(called, Called::Lab(_)) {
                name = format!("{name}-{inode}");
                given.insert(name.clone());
            }
            let container = resident.owner.container().map_or_else(String::new, |container| {
                let ways = [container.called().to_owned(), container.qualified()];
                let only = ways.into_iter().find(|way| by_option.get(way) == Some(&1));
                only.unwrap_or_else(|| container.short_id().to_owned())
            });
            (resident.name, resident.container) = (name, container);
        }
    }

    /// What a namespace is called.
    pub fn name(&self, netns: &Netns) -> String {
        match self.residents.get(&netns.inode) {
            Some(resident) if resident.called() != Called::Nobody => resident.name.clone(),
            _ => lab::short_name(&netns.name),
        }
    }

    /// The same where all are listed: with which lab it is of, and which namespace a pod is in.
    pub(super) fn full_name(&self, netns: &Netns) -> String {
        match self.residents.get(&netns.inode).map(Resident::called) {
            Some(Called::Lab(name)) => name.to_owned(),
            Some(Called::Pod(pod)) => pod.to_string(),
            _ => self.name(netns),
        }
    }

    /// Who lives in a namespace; nobody in particular in the initial one.
    pub fn owner(&self, inode: u64) -> Option<&Owner> {
        let resident = self.residents.get(&inode).filter(|resident| !resident.initial)?;
        (resident.owner != Owner::default()).then_some(&resident.owner)
    }

    /// The option that chooses a namespace, such as `--container web`.
    pub fn option(&self, inode: u64) -> Option<String> {
        self.residents.get(&inode)?.option()
    }

    pub(super) fn resident(&self, inode: u64) -> Option<&Resident> {
        self.residents.get(&inode)
    }

    pub(super) fn residents(&self) -> impl Iterator<Item = (u64, &Resident)> {
        self.residents.iter().map(|(inode, resident)| (*inode, resident))
    }

    /// Units with the inodes of their namespaces.
    pub(super) fn units(&self) -> impl Iterator<Item = (&str, u64)> {
        self.units.iter().map(|(unit, inode)| (unit.as_str(), *inode))
    }

    /// Opens a namespace; `None` where it has gone since.
    pub(super) fn open(&self, inode: u64) -> Option<Netns> {
        let resident = self.residents.get(&inode)?;
        let opened = |path| Netns::open(path, Some(resident.name.clone())).ok();
        resident.paths.iter().filter_map(|path| opened(path)).find(|ns| ns.inode == inode)
    }
}

impl Resident {
    pub(super) fn called(&self) -> Called<'_> {
        let named = self.named.as_deref();
        if self.initial {
            return Called::Host;
        }
        if let Some(name) = named.filter(|name| lab::short_name(name) != *name) {
            return Called::Lab(name);
        }
        if let Some(pod) = self.owner.pod() {
            return Called::Pod(pod);
        }
        match self.owner.container() {
            Some(container) if container.name.is_some() => return Called::Container(container),
            Some(_) | None => {}
        }
        if let Some(name) = named.filter(|name| !is_made_up(name)) {
            return Called::Netns(name);
        }
        let container = self.owner.container().map(Called::Id);
        container
            .or_else(|| self.owner.unit.as_deref().map(Called::Unit))
            .or_else(|| named.map(Called::MadeUp))
            .or_else(|| self.owner.process.as_ref().map(Called::Process))
            .unwrap_or(Called::Nobody)
    }

    /// Whether it is called so, or its namespace is.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.name == name || self.named.as_deref() == Some(name)
    }

    pub(super) fn is_initial(&self) -> bool {
        self.initial
    }

    fn option(&self) -> Option<String> {
        Some(match self.called() {
            Called::Host => format!("--pid {}", self.first),
            Called::Pod(pod) => format!("--pod {pod}"),
            Called::Container(_) | Called::Id(_) => format!("--container {}", self.container),
            Called::Lab(name) | Called::Netns(name) => format!("--netns {name}"),
            Called::Unit(unit) => format!("--unit {unit}"),
            // Docker's are no names to others.
            Called::MadeUp(name) if !name.contains(':') => format!("--netns {name}"),
            Called::MadeUp(_) => format!("--netns {}", self.paths.first()?.display()),
            Called::Process(process) => format!("--pid {}", process.pid),
            Called::Nobody => return None,
        })
    }
}

impl Called<'_> {
    /// As it is shown: no slash is in it, because a device follows after one.
    fn name(self) -> String {
        let name = match self {
            Self::Host => "host".to_owned(),
            Self::Lab(name) => lab::short_name(name),
            Self::Pod(pod) => pod.name.clone(),
            Self::Container(container) | Self::Id(container) => container.called().to_owned(),
            Self::Netns(name) | Self::MadeUp(name) | Self::Unit(name) => name.to_owned(),
            Self::Process(process) => format!("pid:{}({})", process.pid, process.name),
            Self::Nobody => String::new(),
        };
        name.replace('/', ".")
    }

    /// The same with whose it is, where others are called like that.
    fn more(self) -> String {
        let name = match self {
            Self::Pod(pod) => format!("{}.{}", pod.namespace, pod.name),
            Self::Container(container) | Self::Id(container) => container.qualified(),
            other => return other.name(),
        };
        name.replace('/', ".")
    }
}

/// Where something that has several processes lives.
#[derive(Clone, Copy, Debug)]
struct Home {
    netns: u64,
    /// The first of them.
    pid: u32,
}

/// Where each container or unit lives: in the namespace of its first process. The others can be anywhere, such as
/// what somebody has started in a container and moved to a namespace made there.
fn homes<'a, K: Ord>(
    seen: &'a [Seen],
    key: impl Fn(&'a Seen) -> Option<&'a K>,
    started: &dyn Fn(u32) -> u64,
) -> BTreeMap<&'a K, Home> {
    let mut of_key: BTreeMap<&K, Vec<Home>> = BTreeMap::new();
    for process in seen {
        if let Some(key) = key(process) {
            let home = Home { netns: process.netns, pid: process.pid };
            of_key.entry(key).or_default().push(home);
        }
    }
    let first = |homes: Vec<Home>| {
        let several = homes.iter().any(|home| home.netns != homes[0].netns);
        let order = |home: &Home| (if several { started(home.pid) } else { 0 }, home.pid);
        homes.into_iter().min_by_key(order)
    };
    of_key.into_iter().filter_map(|(key, homes)| Some((key, first(homes)?))).collect()
}

/// Says it on stderr, the first time: the path is found anew whenever devices come.
fn warn_once(note: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let new = SAID.lock().is_ok_and(|mut said| said.insert(note.to_owned()));
    if new {
        tracing::warn!("{note}");
    }
}

/// Whether a namespace's name is a runtime's: a UUID behind what it is for, or Docker's key.
fn is_made_up(name: &str) -> bool {
    let uuid = name.strip_prefix("cni-").or_else(|| name.strip_prefix("netns-"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    name.starts_with("docker:") || uuid.is_some_and(|uuid| uuid.len() == 36 && digits(uuid))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::inventory::cgroup::Belongs;

    const HOST: u64 = 1;

    /// A process with the number `pid`, in a namespace, a container and a unit; each may be missing.
    fn process(pid: u32, netns: u64, container: &str, unit: &str) -> Seen {
        let id = |text: &str| {
            let (runtime, id) = text.split_once(':')?;
            let runtime = ["docker", "podman"].into_iter().find(|known| *known == runtime)?;
            Some(Id { runtime, id: id.to_owned() })
        };
        let unit = (!unit.is_empty()).then(|| unit.to_owned());
        Seen { pid, netns, belongs: Belongs { container: id(container), unit } }
    }

    /// A container: id, name, pod.
    fn container(id: &Id, name: &str, pod: &str) -> Container {
        let pod = pod.split_once('/').map(|(namespace, name)| Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        });
        let name = (!name.is_empty()).then(|| name.to_owned());
        let runtime = id.runtime.to_owned();
        Container { runtime, id: id.id.clone(), name, pod, ..Container::default() }
    }

    /// A machine of these processes, named namespaces and containers; processes were started in the order of
    /// their last two digits.
    pub(in crate::inventory) fn census(
        seen: &[(u32, u64, &str, &str)],
        named: &[(u64, &str)],
        containers: &[(&str, &str, &str)],
    ) -> Census {
        let seen: Vec<Seen> = seen.iter().map(|(p, n, c, u)| process(*p, *n, c, u)).collect();
        let known = containers.iter().filter_map(|(of, name, pod)| {
            let id = process(0, 0, of, "").belongs.container?;
            Some((id.clone(), container(&id, name, pod)))
        });
        let known = Known { containers: known.collect(), notes: Vec::new() };
        let named = named.iter().map(|(inode, name)| {
            (*inode, (*name).to_owned(), PathBuf::from("/run/netns").join(name))
        });
        let started = |pid: u32| u64::from(pid % 100);
        Census::of(&seen, named, Some(HOST), &known, &started, &|_| "sleep".to_owned())
    }

    fn names(census: &Census) -> Vec<(u64, &str)> {
        census.residents().map(|(inode, resident)| (inode, resident.name.as_str())).collect()
    }

    fn options(census: &Census) -> Vec<String> {
        census.residents().filter_map(|(_, resident)| resident.option()).collect()
    }

    #[test]
    fn names_come_in_layers() {
        let uuid = "cni-01234567-89ab-cdef-0123-456789abcdef";
        let census = census(
            &[
                (101, HOST, "", "init.scope"),
                (102, 2, "docker:aa11", ""),
                (103, 3, "docker:bb22bb22bb22bb22", ""),
                (104, 4, "podman:cc33", ""),
                (105, 5, "", "web.service"),
                (106, 6, "", ""),
                (107, 9, "", "session-1.scope"),
                (108, HOST, "", "session-1.scope"),
                (100, HOST, "", "session-1.scope"),
            ],
            &[(2, "docker:12ab"), (4, uuid), (7, "blue"), (8, "np1a2b3c-client"), (9, "red")],
            &[
                ("docker:aa11", "web", ""),
                ("docker:bb22bb22bb22bb22", "", ""),
                ("podman:cc33", "app", "shop/app-1"),
            ],
        );
        assert_eq!(
            names(&census),
            [
                (1, "host"),
                (2, "web"),
                (3, "bb22bb22bb22"),
                (4, "app-1"),
                (5, "web.service"),
                (6, "pid:106(sleep)"),
                (7, "blue"),
                (8, "client"),
                (9, "red"),
            ]
        );
        assert_eq!(
            options(&census),
            [
                "--pid 101",
                "--container web",
                "--container bb22bb22bb22",
                "--pod shop/app-1",
                "--unit web.service",
                "--pid 106",
                "--netns blue",
                "--netns np1a2b3c-client",
                "--netns red",
            ]
        );
        assert_eq!(census.owner(2).map(ToString::to_string).as_deref(), Some("docker:web"));
        assert_eq!(census.owner(HOST), None);
        assert_eq!(census.owner(7), None);
    }

    #[test]
    fn a_container_lives_where_its_first_process_does() {
        // What has been started in a container since lives in a namespace made there, under a smaller number.
        let seen = [(250, 3, "docker:aa", ""), (301, 2, "docker:aa", ""), (302, 2, "", "")];
        let census = census(&seen, &[], &[("docker:aa", "web", "")]);
        assert_eq!(names(&census)[1..], [(2, "web"), (3, "pid:250(sleep)")]);
    }

    #[test]
    fn containers_of_one_namespace_are_all_its() {
        let seen =
            [(103, 2, "docker:cc", ""), (201, 2, "docker:aa", ""), (302, 2, "docker:bb", "")];
        let known =
            [("docker:aa", "", "a/b"), ("docker:bb", "app", "a/b"), ("docker:cc", "log", "a/b")];
        let census = census(&seen, &[], &known);
        let owner = census.owner(2).unwrap();
        let ids: Vec<&str> = owner.containers.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, ["aa", "bb", "cc"], "in the order in which they were started");
        assert_eq!(names(&census)[1..], [(2, "b")]);
    }

    #[test]
    fn two_of_one_name_are_told_apart() {
        let census = census(
            &[
                (101, 2, "docker:aa", ""),
                (102, 3, "podman:bb", ""),
                (103, 4, "podman:cc", ""),
                (104, 5, "docker:dd", ""),
            ],
            &[(6, "web"), (7, "np1a2b3c-client"), (8, "np4d5e6f-client")],
            &[
                ("docker:aa", "web", ""),
                ("podman:bb", "web", ""),
                ("podman:cc", "web", ""),
                ("docker:dd", "host", ""),
            ],
        );
        assert_eq!(
            names(&census)[1..],
            [
                (2, "docker:web"),
                (3, "podman:web"),
                (4, "podman:web-4"),
                (5, "docker:host"),
                (6, "web"),
                (7, "client"),
                (8, "client"),
            ]
        );
        assert_eq!(
            options(&census)[1..5],
            ["--container docker:web", "--container bb", "--container cc", "--container host"]
        );
    }

    #[test]
    fn a_machine_that_tells_nothing_has_no_names() {
        let census = Census::of(&[], std::iter::empty(), None, &Known::default(), &|_| 0, &|_| {
            String::new()
        });
        assert_eq!(census.residents().count(), 0);
        assert_eq!(census.option(7), None);
    }

    #[test]
    fn names_that_runtimes_make_up_are_known() {
        assert!(is_made_up("netns-01234567-89ab-cdef-0123-456789abcdef"));
        assert!(is_made_up("docker:12ab34cd"));
        for name in ["cni-bridge", "netns-1", "web", "01234567-89ab-cdef-0123-456789abcdef"] {
            assert!(!is_made_up(name), "{name}");
        }
    }
}
