//! Containers by their ids: what the runtimes of this machine know of them.
//!
//! In: ids. Out: [`Container`]s with names, and what to say of sockets that tell nothing. Files come first; a
//! socket is asked only for what no file has told, because asking can start a service, and all of them together
//! for [`PATIENCE`].

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{Container, api, cgroup::Id, formats};
use crate::errors::told;

/// How long sockets are waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// Docker keeps a folder per container here, named by its id.
const DOCKER: &str = "var/lib/docker/containers";
/// containerd keeps a folder per container, below one per namespace of its own.
const CONTAINERD: &[&str] = &[
    "run/containerd/io.containerd.runtime.v2.task",
    "run/k3s/containerd/io.containerd.runtime.v2.task",
];
/// The one of Docker's containers, which have no names there.
const MOBY: &str = "moby";
/// Where podman and cri-o keep a file with all containers per storage driver, and a folder per container that runs.
const STORAGE: &str = "var/lib/containers/storage";
const STORAGE_RUNNING: &str = "run/containers/storage";
const STORAGE_DRIVERS: &[&str] = &["overlay-containers", "vfs-containers", "btrfs-containers"];

/// Sockets that answer as Docker's does.
const SOCKETS: &[(&str, &str)] =
    &[("run/docker.sock", "docker"), ("run/podman/podman.sock", "podman")];
/// The same below a user's runtime folder.
const USERS: &str = "run/user";
const USERS_SOCKETS: &[(&str, &str)] =
    &[("docker.sock", "docker"), ("podman/podman.sock", "podman")];
/// Variables that say where such a socket is, as `unix://PATH`.
const VARIABLES: &[(&str, &str)] = &[("DOCKER_HOST", "docker"), ("CONTAINER_HOST", "podman")];

/// What ids are asked for.
const LIST: &str = "/containers/json";

/// Where this machine's files are: here and, where this is a container that sees the machine's processes, there.
#[derive(Debug)]
pub(super) struct Runtimes {
    roots: Vec<PathBuf>,
    /// How long all sockets together are waited for.
    patience: Duration,
}

/// A container that containerd says has been started.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: String,
    /// Its first process.
    pub(super) pid: u32,
}

/// What is known of ids.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) containers: BTreeMap<Id, Container>,
    /// What goes by its id, and why, in sentences.
    pub(super) notes: Vec<String>,
}

impl Runtimes {
    pub(super) fn here() -> Self {
        let mounts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let mut roots = vec![PathBuf::from("/")];
        if mounts("1").is_some_and(|of_first| mounts("self") != Some(of_first)) {
            roots.push("/proc/1/root".into());
        }
        Self { roots, patience: PATIENCE }
    }

    fn places<'a>(&'a self, path: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        self.roots.iter().map(move |root| root.join(path))
    }

    /// containerd's folders of containers, with their ids.
    fn bundles(&self) -> impl Iterator<Item = (String, PathBuf)> + '_ {
        let namespaces = CONTAINERD.iter().flat_map(|path| self.places(path)).flat_map(entries);
        let others = namespaces.filter(|path| path.file_name().is_some_and(|name| name != MOBY));
        others.flat_map(entries).filter_map(|path| {
            let id = path.file_name()?.to_str()?.to_owned();
            Some((id, path))
        })
    }

    /// What containerd has started, which it does not always write into cgroups.
    pub(super) fn tasks(&self) -> Vec<Task> {
        let tasks = self.bundles().filter_map(|(id, path)| {
            let pid = fs::read_to_string(path.join("init.pid")).ok()?.trim().parse().ok()?;
            Some(Task { id, pid })
        });
        tasks.collect()
    }

    /// Describes containers; those of which nothing is known but the id are described by that.
    pub(super) fn describe(&self, ids: &BTreeSet<Id>) -> Known {
        let mut known = Known::default();
        let missing = |known: &Known, runtimes: &[&str]| -> Vec<Id> {
            let those = ids.iter().filter(|id| {
                !known.containers.contains_key(id)
                    && (id.runtime.is_empty() || runtimes.contains(&id.runtime))
            });
            those.cloned().collect()
        };
        for id in missing(&known, &["docker"]) {
            let files = self.places(DOCKER).map(|dir| dir.join(&id.id).join("config.v2.json"));
            if let Some(found) = files.filter_map(read).find_map(|b| formats::docker_config(&b)) {
                known.take(id, "docker", found);
            }
        }
        let unnamed = missing(&known, &["containerd"]);
        if !unnamed.is_empty() {
            let bundles: BTreeMap<String, PathBuf> = self.bundles().collect();
            for id in unnamed {
                let config = bundles.get(&id.id).and_then(|dir| read(dir.join("config.json")));
                if let Some(found) = config.and_then(|bytes| formats::bundle(&id.id, &bytes)) {
                    known.take(id, "containerd", found);
                }
            }
        }
        self.stored(&mut known, &missing);
        let asked = missing(&known, &["docker", "podman"]);
        if !asked.is_empty() {
            self.ask(&mut known, &asked);
        }
        for id in ids {
            known.containers.entry(id.clone()).or_insert_with(|| Container {
                runtime: id.runtime.to_owned(),
                id: id.id.clone(),
                ..Container::default()
            });
        }
        known
    }

    /// Containers of this name that have files, whether they run or not, with their runtimes.
    pub(super) fn on_disk(&self, name: &str) -> Vec<Container> {
        let docker = self.places(DOCKER).flat_map(entries).filter_map(|dir| {
            let found = formats::docker_config(&read(dir.join("config.v2.json"))?)?;
            Some(Container { runtime: "docker".to_owned(), ..found })
        });
        let stored = self.places(STORAGE).flat_map(|dir| {
            let lists = STORAGE_DRIVERS.iter().filter_map(move |driver| {
                let bytes = read(dir.join(driver).join("containers.json"))?;
                formats::stored(&bytes).ok()
            });
            lists.flatten().map(|found| Container { runtime: "podman".to_owned(), ..found })
        });
        docker.chain(stored).filter(|found| found.name.as_deref() == Some(name)).collect()
    }

    /// What podman and cri-o have on disk.
    fn stored(&self, known: &mut Known, missing: &dyn Fn(&Known, &[&str]) -> Vec<Id>) {
        let wanted = missing(known, &["podman", "cri-o"]);
        if wanted.is_empty() {
            return;
        }
        let in_each = |below: &'static str| {
            let dirs = self.places(below);
            dirs.flat_map(|dir| STORAGE_DRIVERS.iter().map(move |driver| dir.join(driver)))
        };
        let mut stored: BTreeMap<String, Container> = BTreeMap::new();
        for bytes in in_each(STORAGE).filter_map(|dir| read(dir.join("containers.json"))) {
            match formats::stored(&bytes) {
                Ok(all) => stored.extend(all.into_iter().map(|c| (c.id.clone(), c))),
                Err(error) => {
                    known.notes.push(format!("/{STORAGE} is not as podman writes it: {error}"));
                }
            }
        }
        for id in wanted {
            let Some(mut found) = stored.remove(&id.id) else { continue };
            let mut running = in_each(STORAGE_RUNNING)
                .filter_map(|dir| read(dir.join(&id.id).join("userdata/config.json")));
            // cri-o says there which pod it is of; podman says no more than before.
            let bundle = running.find_map(|bytes| formats::bundle(&id.id, &bytes));
            let of_pod = bundle.filter(|bundle| bundle.pod.is_some());
            let runtime = if of_pod.is_some() { "cri-o" } else { "podman" };
            if let Some(bundle) = of_pod {
                found.pod = bundle.pod;
            }
            known.take(id, runtime, found);
        }
    }

    /// Asks all sockets at once.
    fn ask(&self, known: &mut Known, ids: &[Id]) {
        let until = Instant::now() + self.patience;
        let asked: Vec<_> = self
            .sockets()
            .into_iter()
            .filter_map(|(socket, runtime)| {
                let at = socket.clone();
                let ask = move || api::get(&at, LIST, until);
                let thread = thread::Builder::new().name("netpath-names".to_owned()).spawn(ask);
                thread.ok().map(|thread| (socket, runtime, thread))
            })
            .collect();
        for (socket, runtime, thread) in asked {
            let Ok(answer) = thread.join() else { continue };
            let list = answer.map_err(|error| told(&error)).and_then(|bytes| {
                formats::listed(&bytes)
                    .map_err(|error| format!("its answer is no list of containers: {error}"))
            });
            match list {
                Ok(list) => {
                    for found in list {
                        // podman also answers at Docker's socket.
                        let id = ids.iter().find(|id| id.id == found.id);
                        if let Some(id) = id {
                            known.take(id.clone(), runtime, found);
                        }
                    }
                }
                Err(why) => known.notes.push(format!(
                    "{}: {why}; containers that only it knows go by their ids",
                    socket.display()
                )),
            }
        }
    }

    /// Sockets that are there, with the runtimes that they are of.
    fn sockets(&self) -> Vec<(PathBuf, &'static str)> {
        let told = VARIABLES.iter().filter_map(|(variable, runtime)| {
            let value = env::var(variable).ok()?;
            Some((PathBuf::from(value.strip_prefix("unix://")?), *runtime))
        });
        let usual =
            SOCKETS.iter().flat_map(|(path, runtime)| self.places(path).map(|p| (p, *runtime)));
        let users = self.places(USERS).flat_map(entries).flat_map(|user| {
            USERS_SOCKETS.iter().map(move |(path, runtime)| (user.join(path), *runtime))
        });
        // A user's link could lead to anybody's socket.
        let users = users.filter(|(path, _)| {
            fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
        });
        let mut seen = BTreeSet::new();
        let all = told.chain(usual).chain(users);
        all.filter(|(path, _)| fs::canonicalize(path).is_ok_and(|real| seen.insert(real))).collect()
    }
}

impl Known {
    /// Takes what `runtime` says of a container.
    fn take(&mut self, id: Id, runtime: &str, said: Container) {
        let runtime = if id.runtime.is_empty() { runtime } else { id.runtime };
        let container = Container { runtime: runtime.to_owned(), id: id.id.clone(), ..said };
        self.containers.insert(id, container);
    }
}

/// What is in a folder, in order; nothing where there is none.
fn entries(dir: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn read(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4e5c5ce0a1b2c3d44e5c5ce0a1b2c3d44e5c5ce0a1b2c3d44e5c5ce0a1b2c3d4";

    /// A machine with these files.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Runtimes) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let roots = vec![dir.path().to_owned()];
        // No test is about time.
        (dir, Runtimes { roots, patience: Duration::from_mins(1) })
    }

    fn described(runtimes: &Runtimes, runtime: &'static str, id: &str) -> String {
        let id = Id { runtime, id: id.to_owned() };
        let known = runtimes.describe(&BTreeSet::from([id.clone()]));
        assert_eq!(known.containers.len(), 1);
        known.containers[&id].qualified()
    }

    #[test]
    fn files_name_containers_whoever_runs_them() {
        let docker = format!("{DOCKER}/{ID}/config.v2.json");
        let config = format!(r#"{{"ID":"{ID}","Name":"/web"}}"#);
        let (_dir, runtimes) = machine(&[(&docker, &config)]);
        assert_eq!(described(&runtimes, "docker", ID), "docker:web");
        assert_eq!(described(&runtimes, "", ID), "docker:web");
        assert_eq!(runtimes.on_disk("web").len(), 1);
        assert_eq!(runtimes.on_disk("we"), []);

        let containerd = format!("{}/k8s.io/{ID}/config.json", CONTAINERD[0]);
        let config = r#"{"annotations":{"io.kubernetes.cri.container-name":"app"}}"#;
        let (_dir, runtimes) = machine(&[(&containerd, config)]);
        assert_eq!(described(&runtimes, "containerd", ID), "containerd:app");
        assert_eq!(described(&runtimes, "", ID), "containerd:app");

        let podman = format!("{STORAGE}/overlay-containers/containers.json");
        let config = format!(r#"[{{"id":"{ID}","names":["web"],"metadata":""}}]"#);
        let (_dir, runtimes) = machine(&[(&podman, &config)]);
        assert_eq!(described(&runtimes, "podman", ID), "podman:web");
        assert_eq!(described(&runtimes, "", ID), "podman:web");
        assert_eq!(runtimes.on_disk("web")[0].runtime, "podman");
    }

    #[test]
    fn a_pods_container_of_cri_o_has_the_pod() {
        let list = format!("{STORAGE}/overlay-containers/containers.json");
        let stored = format!(r#"[{{"id":"{ID}","metadata":"{{\"metadata-name\":\"app\"}}"}}]"#);
        let running = format!("{STORAGE_RUNNING}/overlay-containers/{ID}/userdata/config.json");
        let config = r#"{"annotations":{"io.kubernetes.pod.name":"web-1",
            "io.kubernetes.pod.namespace":"shop"}}"#;
        let (_dir, runtimes) = machine(&[(&list, &stored), (&running, config)]);
        let id = Id { runtime: "", id: ID.to_owned() };
        let container = &runtimes.describe(&BTreeSet::from([id.clone()])).containers[&id];
        assert_eq!(container.qualified(), "cri-o:app");
        assert_eq!(container.pod.as_ref().map(ToString::to_string).as_deref(), Some("shop/web-1"));
    }

    #[test]
    fn what_nobody_knows_goes_by_its_id() {
        let broken = format!("{DOCKER}/{ID}/config.v2.json");
        let list = format!("{STORAGE}/vfs-containers/containers.json");
        let (_dir, runtimes) = machine(&[(&broken, r#"{"ID":"#), (&list, "[{")]);
        assert_eq!(described(&runtimes, "docker", ID), "docker:4e5c5ce0a1b2");
        assert_eq!(described(&runtimes, "lxc", "web"), "lxc:web");
        let podman = Id { runtime: "podman", id: ID.to_owned() };
        let notes = runtimes.describe(&BTreeSet::from([podman])).notes;
        assert!(notes.iter().any(|note| note.contains(STORAGE)), "{notes:?}");
    }

    #[test]
    fn containerd_says_what_it_has_started() {
        let pid = format!("{}/default/web/init.pid", CONTAINERD[0]);
        let moby = format!("{}/moby/{ID}/init.pid", CONTAINERD[0]);
        let nonsense = format!("{}/default/bad/init.pid", CONTAINERD[0]);
        let (_dir, runtimes) = machine(&[(&pid, "812"), (&moby, "7"), (&nonsense, "x")]);
        let tasks = runtimes.tasks();
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        assert_eq!((tasks[0].id.as_str(), tasks[0].pid), ("web", 812));
    }

    #[test]
    fn sockets_tell_what_files_do_not() {
        use std::{
            io::{Read as _, Write as _},
            os::unix::net::UnixListener,
        };
        let (dir, runtimes) = machine(&[("run/podman/podman.sock/none", "")]);
        let at = dir.path().join("run/docker.sock");
        let listener = UnixListener::bind(at).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            let list = format!(r#"[{{"Id":"{ID}","Names":["/web"]}}]"#);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n{list}");
        });
        let id = Id { runtime: "docker", id: ID.to_owned() };
        let known = runtimes.describe(&BTreeSet::from([id.clone()]));
        server.join().unwrap();
        // What is no socket says so, and holds nobody up.
        assert!(known.notes.iter().any(|n| n.contains("podman.sock")), "{:?}", known.notes);
        assert_eq!(known.containers[&id].qualified(), "docker:web");
    }
}
