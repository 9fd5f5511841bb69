//! Network namespaces: naming them, and running code inside them.
//!
//! In: names, paths, pids. Out: [`Netns`] handles with the cookie that events carry.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use thiserror::Error;

/// Where `ip netns` and Docker keep the namespaces that have names.
const NAMED: &[(&str, &str)] = &[("/run/netns", ""), ("/run/docker/netns", "docker:")];

/// What the initial namespace is called.
const HOST: &str = "host";

/// A network namespace held open, so that it can't go away.
#[derive(Clone, Debug)]
pub struct Netns {
    file: Arc<File>,
    /// Where it was found.
    pub path: PathBuf,
    /// Inode of the namespace; the kernel reuses it after the namespace is gone.
    pub inode: u64,
    /// Low half of `net->net_cookie`, which is never reused.
    pub cookie: u32,
    /// What people call it.
    pub name: String,
}

impl PartialEq for Netns {
    fn eq(&self, other: &Self) -> bool {
        (self.inode, self.cookie) == (other.inode, other.cookie)
    }
}

impl Eq for Netns {}

#[derive(Debug, Error)]
pub enum NetnsError {
    #[error("no network namespace {wanted}{hint}", hint = suggestion(close))]
    NotFound { wanted: String, close: Vec<String> },
    #[error("cannot open network namespace {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot enter network namespace {name}: {source}")]
    Enter { name: String, source: io::Error },
    #[error(
        "{path} is no network namespace; `ip netns` makes such files, and /proc/PID/ns/net is one"
    )]
    NotOne { path: PathBuf },
    #[error(
        "this kernel does not say which network namespace is which (SO_NETNS_COOKIE); netpath needs \
         Linux 5.14 or newer"
    )]
    NoCookie,
}

/// Words like ", did you mean a or b?" for an error, or nothing.
pub fn suggestion(close: &[String]) -> String {
    if close.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", close.join(" or "))
    }
}

/// The candidates that resemble `wanted`, best first, three at most.
pub fn close_names<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<_> = candidates
        .map(|c| (strsim::jaro_winkler(wanted, c), c.to_owned()))
        .filter(|(score, _)| *score > 0.75)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

impl Netns {
    /// The namespace of the calling thread.
    pub fn current() -> Result<Self, NetnsError> {
        Self::open(Path::new("/proc/self/ns/net"), None)
    }

    /// The namespace at `path`, called `name`, or by whatever name is found for it.
    pub fn open(path: &Path, name: Option<String>) -> Result<Self, NetnsError> {
        let fail = |source| NetnsError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(fail)?;
        let inode = file.metadata().map_err(fail)?.ino();
        let mut ns = Self {
            file: Arc::new(file),
            path: path.to_owned(),
            inode,
            cookie: 0,
            name: String::new(),
        };
        let cookie = ns.run(cookie).map_err(|error| match error {
            NetnsError::Enter { source, .. } if is(&source, Errno::EINVAL) => {
                NetnsError::NotOne { path: path.to_owned() }
            }
            NetnsError::Enter { source, .. } => fail(source),
            other => other,
        })?;
        ns.cookie = cookie.map_err(|source| match source {
            source if is(&source, Errno::ENOPROTOOPT) => NetnsError::NoCookie,
            source => fail(source),
        })?;
        ns.name = name.unwrap_or_else(|| name_of(inode));
        Ok(ns)
    }

    /// What `--netns NAME|PATH|PID` means.
    pub fn find(wanted: &str) -> Result<Self, NetnsError> {
        if wanted.contains('/') {
            return Self::open(Path::new(wanted), None);
        }
        for (dir, _) in NAMED {
            let path = Path::new(dir).join(wanted);
            if path.exists() {
                return Self::open(&path, None);
            }
        }
        let of_process = wanted.parse().ok().map(path_of).filter(|path| path.exists());
        if let Some(path) = of_process {
            return Self::open(&path, None);
        }
        let named = named();
        let close = close_names(wanted, named.iter().map(|(_, name)| name.as_str()));
        Err(NetnsError::NotFound { wanted: wanted.to_owned(), close })
    }

    /// Runs `f` on a thread of its own inside this namespace.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        let entered = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?;
                Ok(f())
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        entered.map_err(|errno: nix::Error| NetnsError::Enter {
            name: self.name.clone(),
            source: errno.into(),
        })
    }

    /// The file that keeps this namespace open.
    pub fn file(&self) -> &File {
        &self.file
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

/// Cookie of the calling thread's namespace (`SO_NETNS_COOKIE`, Linux 5.14).
#[expect(
    clippy::cast_possible_truncation,
    reason = "cookies count up from 1; events carry the low half"
)]
fn cookie() -> io::Result<u32> {
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the socket is open, and `cookie` and `len` are valid for writes of their sizes.
    let rc = unsafe {
        libc::getsockopt(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    if rc == 0 { Ok(cookie as u32) } else { Err(io::Error::last_os_error()) }
}

/// Paths and names of all namespaces that have a name.
pub fn named() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for (dir, prefix) in NAMED {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            found.push((entry.path(), name));
        }
    }
    found.sort();
    found
}

/// The folders in which namespaces have names.
pub(crate) fn folders() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|(dir, _)| *dir)
}

/// Where files of this name are in these folders, and what namespaces there are called.
pub(crate) fn with_name(name: &std::ffi::OsStr) -> Vec<(PathBuf, String)> {
    let all = NAMED.iter().map(|(dir, prefix)| {
        (Path::new(dir).join(name), format!("{prefix}{}", name.to_string_lossy()))
    });
    all.filter(|(path, _)| path.exists()).collect()
}

/// One handle for every namespace that can be found: named ones first, then those of processes.
pub fn all() -> Vec<Netns> {
    let initial = initial();
    let mut known: BTreeMap<u64, (PathBuf, Option<String>)> = BTreeMap::new();
    let mut order = Vec::new();
    let own = ("/proc/thread-self/ns/net".into(), None, None);
    let named = named().into_iter().map(|(path, name)| (path, Some(name), None));
    let lived_in = pids().map(|pid| (path_of(pid), None, Some(pid)));
    for (path, name, pid) in std::iter::once(own).chain(named).chain(lived_in) {
        let Some(inode) = inode_at(&path) else { continue };
        let (_, called) = known.entry(inode).or_insert_with(|| {
            order.push(inode);
            (path, None)
        });
        // The caller's own is called as others call it; what has a name in no folder, as what lives there.
        if called.is_none() {
            let lived_in = |pid| {
                if Some(inode) == initial { Some(HOST.to_owned()) } else { process_name(pid) }
            };
            *called = name.or_else(|| pid.and_then(lived_in));
        }
    }
    let mut found: Vec<Netns> = Vec::new();
    for inode in order {
        let Some((path, name)) = known.remove(&inode) else { continue };
        let Ok(file) = File::open(&path) else { continue };
        let name = name.unwrap_or_else(|| nameless(inode));
        found.push(Netns { file: Arc::new(file), path, inode, cookie: 0, name });
    }
    // One thread goes through all of them.
    let each = |netns: &Netns| {
        setns(netns.file.as_fd(), CloneFlags::CLONE_NEWNET).ok()?;
        cookie().ok()
    };
    let cookies = thread::scope(|scope| {
        scope.spawn(|| found.iter().map(each).collect::<Vec<_>>()).join().unwrap_or_default()
    });
    let with_cookie = found.into_iter().zip(cookies);
    with_cookie.filter_map(|(netns, cookie)| Some(Netns { cookie: cookie?, ..netns })).collect()
}

/// The processes of this machine, in any order.
pub(crate) fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Processes in network namespaces other than the initial one, with the namespace's inode. The initial one's are
/// all those that have none of their own.
pub(crate) fn inhabitants() -> impl Iterator<Item = (u32, u64)> {
    let initial = initial();
    pids().filter_map(|pid| Some((pid, inode_of(pid)?))).filter(move |(_, of)| Some(*of) != initial)
}

/// Inode of the network namespace of a process.
pub(crate) fn inode_of(pid: u32) -> Option<u64> {
    inode_at(&path_of(pid))
}

/// Where the network namespace of a process is opened.
pub(crate) fn path_of(pid: u32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}

fn inode_at(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|meta| meta.ino())
}

/// Names and processes that keep the namespace with this inode.
pub fn holders(inode: u64) -> impl Iterator<Item = PathBuf> {
    let own = std::process::id();
    named()
        .into_iter()
        .map(|(path, _)| path)
        .chain(pids().filter(move |pid| *pid != own).map(path_of))
        .filter(move |path| inode_at(path) == Some(inode))
}

/// What a namespace is called: its name, `host` for the initial one, or the first process in it.
fn name_of(inode: u64) -> String {
    let named = named().into_iter().find(|(path, _)| inode_at(path) == Some(inode));
    let host = || (initial() == Some(inode)).then(|| HOST.to_owned());
    let first = || pids().find(|pid| inode_of(*pid) == Some(inode)).and_then(process_name);
    let name = named.map(|(_, name)| name).or_else(host).or_else(first);
    name.unwrap_or_else(|| nameless(inode))
}

fn nameless(inode: u64) -> String {
    format!("netns:{inode}")
}

/// The inode of the initial namespace, in which the init process lives and, where it hides that, the kernel's
/// threads.
pub(crate) fn initial() -> Option<u64> {
    let kthreadd = || comm(2).as_deref() == Some("kthreadd");
    inode_of(1).or_else(|| inode_of(2).filter(|_| kthreadd()))
}

/// What a process is called, without what no terminal should be given.
pub(crate) fn comm(pid: u32) -> Option<String> {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(comm.trim().chars().filter(|c| !c.is_control()).collect())
}

/// A namespace by a process in it, `pid:812(nginx)`.
fn process_name(pid: u32) -> Option<String> {
    Some(format!("pid:{pid}({})", comm(pid)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_come_best_first() {
        let names = ["client", "host", "server", "clients"];
        assert_eq!(close_names("clent", names.into_iter()), ["client", "clients"]);
        assert!(close_names("zzz", names.into_iter()).is_empty());
    }

    #[test]
    fn the_own_namespace_has_a_cookie() {
        let ns = Netns::current().expect("reading the own namespace needs no rights");
        assert!(ns.cookie > 0 && ns.inode > 0);
    }
}
