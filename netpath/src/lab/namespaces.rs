//! Named network namespaces that belong to a lab, and whose they are.
//!
//! A run has an id of its own and holds a lock file while it lives. Its namespaces stand in
//! /run/netns as `np` + id + `-` + role, where `ip netns` finds them too. Namespaces whose run
//! holds its lock no more are leftovers, and so are lock files and control groups.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use nix::{
    fcntl::{Flock, FlockArg},
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

use super::{LabError, cgroups};
use crate::netns::{self, Netns};

const NETNS_DIR: &str = "/run/netns";
const LOCK_DIR: &str = "/run/netpath";
const PREFIX: &str = "np";

/// The role in a lab's namespace name; `None` where it is not a lab's.
pub(super) fn role(name: &str) -> Option<&str> {
    parse(name).map(|(_, role)| role)
}

/// The run's id and the role.
fn parse(name: &str) -> Option<(&str, &str)> {
    let (run, role) = name.strip_prefix(PREFIX)?.split_once('-')?;
    is_id(run).then_some((run, role))
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().all(|b| b.is_ascii_hexdigit())
}

const ID_LEN: usize = 6;

/// One lab's claim on its namespaces.
#[derive(Debug)]
pub struct Run {
    id: String,
    lock: Option<Flock<File>>,
}

impl Run {
    /// Finds an id that nobody has.
    pub(super) fn begin() -> Result<Self, LabError> {
        for dir in [NETNS_DIR, LOCK_DIR] {
            fs::create_dir_all(dir).map_err(|e| LabError::system(format!("create {dir}"), e))?;
        }
        share_names()?;
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
        let mut number = std::process::id() ^ clock.rotate_left(8);
        loop {
            let id = format!("{:06x}", number & 0x00ff_ffff);
            number = number.wrapping_add(1);
            if fs::read_dir(NETNS_DIR).is_ok_and(|dir| owned(dir, &id).next().is_some()) {
                continue;
            }
            if let Some(lock) = lock(&id)? {
                return Ok(Self { id, lock: Some(lock) });
            }
        }
    }

    /// What is named for this run alone.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn full_name(&self, role: &str) -> String {
        format!("{PREFIX}{}-{role}", self.id)
    }

    pub(super) fn path(&self, role: &str) -> PathBuf {
        Path::new(NETNS_DIR).join(self.full_name(role))
    }

    /// Makes a namespace.
    pub(super) fn add(&self, role: &str) -> Result<Netns, LabError> {
        self.name(role, || unshare(CloneFlags::CLONE_NEWNET))
    }

    /// Gives a namespace that somebody else has made a name of this run's.
    pub(super) fn adopt(&self, role: &str, made: &Netns) -> Result<Netns, LabError> {
        self.name(role, || setns(made.file(), CloneFlags::CLONE_NEWNET))
    }

    /// Names the namespace that a thread is in after `enter`.
    fn name(
        &self,
        role: &str,
        enter: impl FnOnce() -> nix::Result<()> + Send,
    ) -> Result<Netns, LabError> {
        let path = self.path(role);
        let fail = |e: std::io::Error| {
            LabError::system(format!("make network namespace {}", path.display()), e)
        };
        File::create(&path).map_err(fail)?;
        let made = thread::scope(|scope| {
            scope
                .spawn(|| {
                    enter()?;
                    let own = Some("/proc/thread-self/ns/net");
                    mount(own, &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        made.map_err(|e| fail(e.into()))?;
        Ok(Netns::open(&path, None)?)
    }
}

/// Makes the directory of names a mount of its own, which others share, as `ip netns` does before
/// it adds one. Were that left to an `ip netns add` beside us, it would cover our names, and
/// nobody could remove them.
fn share_names() -> Result<(), LabError> {
    let none = None::<&str>;
    let share = || mount(none, NETNS_DIR, none, MsFlags::MS_SHARED | MsFlags::MS_REC, none);
    let shared = share().or_else(|_| {
        let onto_itself = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(NETNS_DIR), NETNS_DIR, none, onto_itself, none)?;
        share()
    });
    shared.map_err(|e| LabError::system(format!("make {NETNS_DIR} a shared mount"), e))
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Err(error) = remove_run(&self.id) {
            tracing::warn!("{error}");
        }
        // While it is held, so that nobody else has locked it by now.
        let _ = fs::remove_file(lock_path(&self.id));
        drop(self.lock.take());
    }
}

fn lock_path(id: &str) -> PathBuf {
    Path::new(LOCK_DIR).join(format!("lab-{id}.lock"))
}

/// The run that a lock file is of.
fn lock_id(name: &str) -> Option<&str> {
    let id = name.strip_prefix("lab-")?.strip_suffix(".lock")?;
    is_id(id).then_some(id)
}

/// The run's lock, unless somebody holds it.
fn lock(id: &str) -> Result<Option<Flock<File>>, LabError> {
    let path = lock_path(id);
    let what = || format!("lock {}", path.display());
    let file = File::create(&path).map_err(|e| LabError::system(what(), e))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        // Somebody may have removed the file since it was opened: then the lock holds nothing.
        Ok(lock) => {
            let same = |here: fs::Metadata| lock.metadata().is_ok_and(|m| m.ino() == here.ino());
            Ok(fs::metadata(&path).is_ok_and(same).then_some(lock))
        }
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(LabError::system(what(), errno)),
    }
}

/// Paths of the namespaces of a run.
fn owned(dir: fs::ReadDir, id: &str) -> impl Iterator<Item = PathBuf> {
    dir.flatten()
        .filter(move |entry| {
            entry.file_name().to_str().and_then(parse).is_some_and(|(run, _)| run == id)
        })
        .map(|entry| entry.path())
}

fn remove_run(id: &str) -> Result<(), LabError> {
    let dir =
        fs::read_dir(NETNS_DIR).map_err(|e| LabError::system(format!("read {NETNS_DIR}"), e))?;
    cgroups::remove(id);
    for path in owned(dir, id) {
        kill_inhabitants(&path);
        // Not mounted any more where the kill came between the two steps of making it.
        let _ = umount2(&path, MntFlags::MNT_DETACH);
        fs::remove_file(&path)
            .or_else(|e| if e.kind() == ErrorKind::ResourceBusy { dig_out(&path) } else { Err(e) })
            .map_err(|e| LabError::system(format!("remove {}", path.display()), e))?;
    }
    Ok(())
}

/// Removes a namespace's file whose mount is hidden below another one. Where no mount hides it, in a
/// mount namespace of our own, it can be removed, and that ends its mounts everywhere.
fn dig_out(path: &Path) -> std::io::Result<()> {
    let dig = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(
            None::<&str>,
            "/",
            None::<&str>,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            None::<&str>,
        )?;
        while umount2(NETNS_DIR, MntFlags::MNT_DETACH).is_ok() {}
        while umount2(path, MntFlags::MNT_DETACH).is_ok() {}
        fs::remove_file(path)
    };
    let dug = thread::scope(|scope| scope.spawn(dig).join());
    dug.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Ends processes that a killed lab has left in a namespace: they would keep it alive.
fn kill_inhabitants(path: &Path) {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    let Ok(inode) = fs::metadata(path).map(|m| m.ino()) else { return };
    let inside = netns::pids().filter(|pid| netns::inode_of(*pid) == Some(inode));
    for pid in inside.filter_map(|pid| i32::try_from(pid).ok()).map(Pid::from_raw) {
        if pid != Pid::this() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Removes what runs that are no more have left. Returns how many of them there were.
pub fn clean_up() -> Result<usize, LabError> {
    fs::create_dir_all(LOCK_DIR).map_err(|e| LabError::system(format!("create {LOCK_DIR}"), e))?;
    let files = |dir: &str| fs::read_dir(dir).into_iter().flatten().flatten();
    let named = files(NETNS_DIR).filter_map(|e| Some(parse(e.file_name().to_str()?)?.0.to_owned()));
    let locked =
        files(LOCK_DIR).filter_map(|e| lock_id(e.file_name().to_str()?).map(str::to_owned));
    let runs: BTreeSet<String> = named.chain(locked).collect();
    let mut removed = 0;
    for id in runs {
        let Some(lock) = lock(&id)? else { continue };
        match remove_run(&id) {
            Ok(()) => {
                let _ = fs::remove_file(lock_path(&id));
                removed += 1;
            }
            // What another lab has left is no reason not to begin this one.
            Err(error) => tracing::warn!("what a lab has left stays: {error}"),
        }
        drop(lock);
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_labs_names_have_roles() {
        assert_eq!(role("np00beef-client"), Some("client"));
        assert_eq!(role("np00beef-a-b"), Some("a-b"));
        for other in ["client", "np-client", "npxyz-client", "np00beefclient", "np00beef0-x"] {
            assert_eq!(role(other), None, "{other}");
        }
    }

    #[test]
    fn only_a_labs_lock_files_are_taken_for_leftovers() {
        assert_eq!(lock_id("lab-00beef.lock"), Some("00beef"));
        for other in ["lab-.lock", "lab-00beef", "ovs-4026532", "lab-nothex.lock"] {
            assert_eq!(lock_id(other), None, "{other}");
        }
    }
}
