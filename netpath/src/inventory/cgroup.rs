//! Whose process it is: what the path of its cgroup says of container and systemd unit.
//!
//! In: the text of a `/proc/PID/cgroup`. Out: runtime and id of the innermost container, and the innermost unit.

/// How runtimes mark the scope of a container: what stands before the id, and the runtime's name.
const MARKS: &[(&str, &str)] = &[
    ("docker-", "docker"),
    ("libpod-", "podman"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
];

/// The same for those whose containers' ids are names.
const BY_NAME: &[(&str, &str)] = &[("lxc.payload.", "lxc"), ("machine-", "machine")];

/// Parents of cgroups that are called by the id alone.
const PARENTS: &[(&str, &str)] = &[("docker", "docker"), ("libpod_parent", "podman")];

/// Kinds of units that have processes.
const UNITS: &[&str] = &["service", "scope"];

/// Digits of an id, at least where something beside it says that it is one, and where nothing does.
const SHORTEST: usize = 12;
const WHOLE: usize = 64;

/// Where a process belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Belongs {
    pub(super) container: Option<Id>,
    /// Such as `nginx.service`.
    pub(super) unit: Option<String>,
}

/// A container's identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id {
    /// Empty where the cgroup does not say.
    pub(super) runtime: &'static str,
    pub(super) id: String,
}

/// Reads a `/proc/PID/cgroup`: a line per hierarchy, `NUMBER:CONTROLLERS:PATH`.
pub(super) fn parse(text: &str) -> Belongs {
    let paths = || text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    Belongs { container: paths().find_map(container), unit: paths().find_map(unit) }
}

/// The innermost container of a path.
fn container(path: &str) -> Option<Id> {
    let names: Vec<&str> = path.split('/').collect();
    (0..names.len()).rev().find_map(|i| {
        // containerd writes `SLICE:cri-containerd:ID` where it was told of systemd and does without.
        let name = names[i].rsplit(':').next().unwrap_or_default();
        let parent = i.checked_sub(1).map_or("", |above| names[above]);
        named(name, parent)
    })
}

fn named(name: &str, parent: &str) -> Option<Id> {
    let found = |runtime, id: &str| Some(Id { runtime, id: id.to_owned() });
    let scope = name.strip_suffix(".scope");
    let whole = scope.unwrap_or(name);
    for (mark, runtime) in MARKS {
        if let Some(id) = whole.strip_prefix(mark)
            && is_id(id, SHORTEST)
        {
            return found(runtime, id);
        }
    }
    for (mark, runtime) in BY_NAME {
        if let Some(id) = whole.strip_prefix(mark)
            && !id.is_empty()
            && (scope.is_some() || *runtime == "lxc")
        {
            return found(runtime, &unescaped(id));
        }
    }
    if let Some((_, runtime)) = PARENTS.iter().find(|(above, _)| *above == parent)
        && is_id(name, SHORTEST)
    {
        return found(runtime, name);
    }
    is_id(name, WHOLE).then(|| Id { runtime: "", id: name.to_owned() })
}

fn is_id(text: &str, digits: usize) -> bool {
    text.len() >= digits && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The innermost unit of a path.
fn unit(path: &str) -> Option<String> {
    let units = path.split('/').rev();
    let is = |name: &&str| name.rsplit_once('.').is_some_and(|(_, kind)| UNITS.contains(&kind));
    units.into_iter().find(is).map(unescaped)
}

/// A name as systemd has written it: `\x2d` stands for a minus.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.get(..2);
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.extend_from_slice(b"\\x");
            rest = after;
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4e5c5ce0a1b2c3d44e5c5ce0a1b2c3d44e5c5ce0a1b2c3d44e5c5ce0a1b2c3d4";

    fn found(text: &str) -> Option<(&'static str, String)> {
        parse(text).container.map(|id| (id.runtime, id.id))
    }

    #[test]
    fn cgroups_tell_runtime_and_id() {
        for (line, runtime) in [
            (format!("0::/system.slice/docker-{ID}.scope"), "docker"),
            (format!("12:cpu:/docker/{ID}\n0::/"), "docker"),
            (format!("0::/system.slice/docker-{ID}.scope/init"), "docker"),
            (format!("0::/machine.slice/libpod-{ID}.scope/container"), "podman"),
            (format!("0::/libpod_parent/{ID}"), "podman"),
            (format!("0::/kubepods.slice/pod1.slice/cri-containerd-{ID}.scope"), "containerd"),
            (format!("0::/system.slice/nerdctl-{ID}.scope"), "containerd"),
            (format!("0::/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope"), "cri-o"),
            (format!("0::/kubepods/burstable/pod1/{ID}"), ""),
            (format!("0::/kubepods-besteffort-pod1.slice:cri-containerd:{ID}"), ""),
            (format!("0::/netpath-1a2b3c/{ID}"), ""),
        ] {
            assert_eq!(found(&line), Some((runtime, ID.to_owned())), "{line}");
        }
        assert_eq!(found("0::/lxc.payload.web"), Some(("lxc", "web".to_owned())));
        let machine = "0::/machine.slice/machine-my\\x2dweb.scope/payload/init.scope";
        assert_eq!(found(machine), Some(("machine", "my-web".to_owned())));
    }

    #[test]
    fn the_innermost_container_is_meant() {
        let inner = ID.replace('4', "5");
        let text = format!("0::/docker/{ID}/docker/{inner}");
        assert_eq!(found(&text), Some(("docker", inner)));
    }

    #[test]
    fn what_only_looks_like_a_container_is_none() {
        for text in [
            "",
            "0::/",
            "0::",
            "0:",
            "nonsense",
            "0::/user.slice/user-1000.slice/session-1.scope",
            "0::/system.slice/docker-proxy.scope",
            "0::/system.slice/docker.service",
            "0::/machine.slice/machine-.scope",
            "0::/docker",
            "0::/docker/buildkit",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
        // What watches a container is not in it.
        assert_eq!(found(&format!("0::/machine.slice/libpod-conmon-{ID}.scope")), None);
    }

    #[test]
    fn the_innermost_unit_is_meant() {
        let unit = |text| parse(text).unit;
        assert_eq!(unit("0::/system.slice/nginx.service").as_deref(), Some("nginx.service"));
        let of_user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/sub";
        assert_eq!(unit(of_user).as_deref(), Some("web.service"));
        let escaped = "1:name=systemd:/system.slice/a\\x2db.service\n0::/";
        assert_eq!(unit(escaped).as_deref(), Some("a-b.service"));
        assert_eq!(unit("0::/user.slice"), None);
    }

    #[test]
    fn an_escape_that_is_none_stays() {
        assert_eq!(unescaped("a\\xzz\\x2"), "a\\xzz\\x2");
        assert_eq!(unescaped("\\x2d\\xé"), "-\\xé");
    }
}
