//! Names that people use: a container is found by its name, its namespace goes by it everywhere, and what a
//! runtime does not tell holds nothing up. The containers are processes in network namespaces and cgroups of
//! their own; the runtime is a socket.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
};

use netpath::{
    inventory::{Entry, Listing},
    lab::Lab,
    snapshot::Snapshot,
    topo::Topology,
};
use serde_json::Value;

use super::support::{Neighbour, bridge_nat, netpath};
use crate::need_kernel;

/// A neighbour in a cgroup of its own.
struct Container {
    neighbour: Neighbour,
    id: String,
    cgroup: PathBuf,
}

impl Container {
    /// The `n`th of this process.
    fn start(lab: &Lab, n: u8) -> Self {
        let neighbour = Neighbour::start(lab, n);
        let id = format!("{:08x}{n:02x}{:054x}", std::process::id(), 0);
        let cgroup = hierarchy().join(group()).join("docker").join(&id);
        let this = Self { neighbour, id, cgroup };
        fs::create_dir_all(&this.cgroup).expect("cgroups can be made");
        let pid = this.neighbour.pid().to_string();
        fs::write(this.cgroup.join("cgroup.procs"), pid).expect("a process can be moved");
        this
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.neighbour.end();
        // The last one takes the groups above with it.
        let above = self.cgroup.ancestors().take(3);
        above.for_each(|group| drop(fs::remove_dir(group)));
    }
}

/// This process' group.
fn group() -> String {
    format!("netpath-names-{}-{:?}", std::process::id(), thread::current().id())
        .replace(['(', ')'], "")
}

/// A hierarchy of cgroups that takes processes: the unified one, or that of any controller.
fn hierarchy() -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let cgroups = mounts.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let usable = words[2] == "cgroup2" || words[2] == "cgroup" && words[3].contains("pids");
        usable.then(|| PathBuf::from(words[1]))
    });
    let writable = |path: &PathBuf| path.join("cgroup.procs").exists();
    cgroups.into_iter().find(writable).expect("cgroups are mounted")
}

/// A runtime that answers whoever asks with this list, until the test ends.
fn runtime(list: &Value) -> (tempfile::TempDir, String) {
    let (dir, at, listener) = socket();
    let body = list.to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = write!(stream, "{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        }
    });
    (dir, at)
}

fn socket() -> (tempfile::TempDir, String, UnixListener) {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("docker.sock");
    let listener = UnixListener::bind(&at).unwrap();
    (dir, format!("unix://{}", at.display()), listener)
}

/// netpath, with this as Docker's socket.
fn asked(docker: &str, arguments: &[&str]) -> Output {
    netpath(arguments).env("DOCKER_HOST", docker).output().expect("netpath can be run")
}

fn json<T: serde::de::DeserializeOwned>(output: &Output) -> T {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    serde_json::from_slice(&output.stdout).expect("it is as its type says")
}

fn refused(output: &Output) -> String {
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An entry of Docker's list.
fn row(container: &Container, name: &str, image: &str) -> Value {
    serde_json::json!({
        "Id": container.id, "Names": [format!("/{name}")], "Image": image, "Labels": {},
    })
}

#[test]
fn a_container_is_traced_by_its_name_and_shown_by_it() {
    need_kernel!();
    let lab = bridge_nat();
    let (web, app) = (Container::start(&lab, 1), Container::start(&lab, 2));
    let list = [row(&web, "np-web", "nginx:1.27"), row(&app, "np-app", "caddy")];
    let (_dir, docker) = runtime(&list.into());

    let all: Listing = json(&asked(&docker, &["ls", "--json"]));
    let entry = |name: &str| -> &Entry {
        all.entries.iter().find(|entry| entry.name == name).expect("it is listed")
    };
    let told = entry("np-web");
    assert_eq!((told.kind.as_str(), told.interface.as_deref()), ("container", Some("eth0")));
    assert_eq!(told.option.as_deref(), Some("--container np-web"));
    let eth0 = told.interfaces.iter().find(|i| i.name == "eth0").unwrap();
    assert_eq!(eth0.addresses, ["172.31.0.101/24"]);
    let joined: Vec<&str> = told.ways[0].joined.iter().map(|s| s.interface.as_str()).collect();
    assert_eq!(joined, ["eth0", "c1", "br0"]);
    assert_eq!(told.ways[0].out.as_ref().map(|out| out.interface.as_str()), Some("up0"));
    let text = asked(&docker, &["ls"]).stdout;
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find(|line| line.contains("np-web")).unwrap();
    let way = format!("eth0 ⇄ {}/c1 ⇄ br0 → up0", lab.full_name("host"));
    assert!(line.contains("nginx:1.27") && line.contains(&way), "{line}");

    for chosen in ["np-web", "docker:np-web", &web.id[..], &web.id[..10]] {
        let found: Topology = json(&asked(&docker, &["topo", "--json", "--container", chosen]));
        let focus = found.chosen[0].focus;
        assert_eq!((found.dev_name(focus), found.netns_name(focus.netns)), named("eth0", "np-web"));
        let neighbour = found.hosts.values().find(|host| host.name == "np-app");
        let owner = neighbour.and_then(|host| host.owner.as_ref()).expect("it is on the bridge");
        assert_eq!(owner.containers[0].image.as_deref(), Some("caddy"));
    }

    let answered = web.neighbour.netns().run(|| {
        let mut ping = Command::new("ping");
        ping.args(["-i", "0.02", "172.31.0.1"]).stdout(Stdio::null()).spawn()
    });
    let mut ping = answered.unwrap().expect("ping can be run");
    let trace = ["trace", "--container", "np-web", "--count", "20", "--json"];
    let snapshot: Snapshot = json(&asked(&docker, &trace));
    ping.kill().unwrap();
    ping.wait().unwrap();
    assert_eq!((snapshot.iface, snapshot.netns), named("eth0", "np-web"));
    let of_web = |path: &&netpath::snapshot::PathReport| path.name.contains("np-web/eth0");
    assert!(snapshot.paths.iter().any(|path| of_web(&path)), "{:?}", snapshot.paths);
    let owner = &snapshot.owners["np-web"];
    assert_eq!(owner.to_string(), "docker:np-web nginx:1.27");
}

fn named(iface: &str, netns: &str) -> (String, String) {
    (iface.to_owned(), netns.to_owned())
}

#[test]
fn a_process_and_its_namespace_are_traced_without_an_interface() {
    need_kernel!();
    let lab = bridge_nat();
    let container = Container::start(&lab, 1);
    let (_dir, docker) = runtime(&Value::Array(Vec::new()));
    let pid = container.neighbour.pid().to_string();
    let path = format!("/proc/{pid}/ns/net");
    for home in [["--pid", &pid], ["--netns", &pid], ["--netns", &path]] {
        let words = [&["topo", "--json"], &home[..]].concat();
        let found: Topology = json(&asked(&docker, &words));
        assert_eq!(found.dev_name(found.chosen[0].focus), "eth0");
        // Nobody knows more of it than its id.
        assert_eq!(found.netns_name(found.chosen[0].focus.netns), container.id[..12]);
    }
    let netns = lab.full_name("client");
    let found: Topology = json(&asked(&docker, &["topo", "--json", "--netns", &netns]));
    assert_eq!(found.netns_name(found.chosen[0].focus.netns), "client");
    let lo = ["topo", "--pid", &pid, "--iface", "lo"];
    assert!(asked(&docker, &lo).status.success());
}

#[test]
fn what_fits_nothing_or_several_is_told_with_what_could_be_meant() {
    need_kernel!();
    let lab = bridge_nat();
    let (one, other) = (Container::start(&lab, 1), Container::start(&lab, 2));
    let list = [row(&one, "np-web", "a"), row(&other, "np-web", "b")];
    let (_dir, docker) = runtime(&list.into());
    let text = refused(&asked(&docker, &["trace", "--container", "np-web"]));
    for container in [&one, &other] {
        assert!(text.contains(&format!("docker:np-web ({}", &container.id[..12])), "{text}");
    }
    let text = refused(&asked(&docker, &["trace", "--container", "np-webb"]));
    assert!(text.contains("no container np-webb; close: ") && text.contains("np-web"), "{text}");
    let text = refused(&asked(&docker, &["trace", "--netns", "np-web"]));
    assert!(text.contains("container np-web"), "{text}");
    let text = refused(&asked(&docker, &["trace", "--pod", "shop/np-web"]));
    assert!(text.contains("no pod shop/np-web"), "{text}");
    let text = refused(&asked(&docker, &["trace", "--pid", "4194305"]));
    assert!(text.contains("no process 4194305"), "{text}");
    let text = refused(&asked(&docker, &["trace", "--unit", "np-none"]));
    assert!(text.contains("no unit np-none"), "{text}");
    let netns = lab.full_name("client");
    lab.command("client", &["ip", "link", "set", "eth0", "down"]).unwrap();
    let text = refused(&asked(&docker, &["trace", "--netns", &netns]));
    assert!(text.contains("no interface but lo"), "{text}");
}

#[test]
fn a_socket_that_hangs_or_lies_holds_nothing_up() {
    need_kernel!();
    let lab = bridge_nat();
    let container = Container::start(&lab, 1);
    // It is never accepted from.
    let (_dir, hanging, _listener) = socket();
    let (_other, lying) = runtime(&serde_json::json!({ "message": "no" }));
    for (docker, why) in [(hanging, "does not answer in time"), (lying, "no list of containers")] {
        let output = asked(&docker, &["topo", "--json", "--container", &container.id]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(why) && said.contains("docker.sock"), "{said}");
        let found: Topology = json(&output);
        assert_eq!(found.netns_name(found.chosen[0].focus.netns), container.id[..12]);
    }
}
