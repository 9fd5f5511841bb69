//! Who lives in a network namespace.

use serde::{Deserialize, Serialize};

/// Digits of an id that are shown.
const SHORT: usize = 12;

/// A container that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Container {
    /// `docker`, `podman`, `containerd`, `cri-o`, `lxc`, `machine`; empty where that is not known.
    pub runtime: String,
    pub id: String,
    /// What people call it; absent where only the id is known, and of the container that holds a pod together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
}

/// A Kubernetes pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pod {
    pub namespace: String,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Process {
    pub pid: u32,
    /// As in `/proc/PID/comm`.
    pub name: String,
}

/// Who lives in a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Owner {
    /// In the order in which they were started; several where they share the namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
    /// The systemd unit that has the namespace for its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The one that was there first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
}

impl Container {
    /// The id as it is shown.
    pub fn short_id(&self) -> &str {
        self.id.char_indices().nth(SHORT).map_or(&self.id, |(end, _)| &self.id[..end])
    }

    /// The name, or else the id.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.short_id())
    }

    /// With the runtime, where that is known: `docker:web`.
    pub fn qualified(&self) -> String {
        if self.runtime.is_empty() {
            self.called().to_owned()
        } else {
            format!("{}:{}", self.runtime, self.called())
        }
    }
}

impl Owner {
    /// The pod that its containers are of.
    pub fn pod(&self) -> Option<&Pod> {
        self.containers.iter().find_map(|container| container.pod.as_ref())
    }

    /// Whether it is worth a word beside the namespace's name.
    pub fn says_more_than(&self, name: &str) -> bool {
        let only_process = self.containers.is_empty() && self.unit.is_none();
        !(only_process && name.starts_with("pid:")) && self.to_string() != name
    }

    /// The container that gives the namespace its name: the first that has one itself.
    pub fn container(&self) -> Option<&Container> {
        self.containers.iter().find(|c| c.name.is_some()).or_else(|| self.containers.first())
    }
}

impl std::fmt::Display for Pod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Who it is, in a few words: `docker:web nginx:1.27`, `pod shop/web-1`, `nginx.service`, `pid 812 (nginx)`.
impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(pod) = self.pod() {
            write!(f, "pod {pod}")
        } else if let Some(container) = self.container() {
            f.write_str(&container.qualified())?;
            container.image.iter().try_for_each(|image| write!(f, " {image}"))
        } else if let Some(unit) = &self.unit {
            f.write_str(unit)
        } else if let Some(Process { pid, name }) = &self.process {
            write!(f, "pid {pid} ({name})")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_cut_where_a_letter_ends() {
        let of = |id: &str| Container { id: id.to_owned(), ..Container::default() };
        assert_eq!(of("4e5c5ce0a1b2c3d4").called(), "4e5c5ce0a1b2");
        assert_eq!(of("web").called(), "web");
        assert_eq!(of("ééééééééééééé").called(), "éééééééééééé");
    }

    #[test]
    fn an_owner_is_told_by_the_best_that_is_known() {
        let process = Some(Process { pid: 812, name: "nginx".to_owned() });
        let mut owner = Owner { process, ..Owner::default() };
        assert_eq!(owner.to_string(), "pid 812 (nginx)");
        assert!(owner.says_more_than("blue") && !owner.says_more_than("pid:812(nginx)"));
        owner.unit = Some("nginx.service".to_owned());
        assert_eq!(owner.to_string(), "nginx.service");
        assert!(!owner.says_more_than("nginx.service"));
        let sandbox = Container { id: "aa".to_owned(), ..Container::default() };
        let web = Container {
            runtime: "docker".to_owned(),
            name: Some("web".to_owned()),
            image: Some("nginx:1.27".to_owned()),
            ..Container::default()
        };
        owner.containers = vec![sandbox, web];
        assert_eq!(owner.to_string(), "docker:web nginx:1.27");
        let pod = Pod { namespace: "shop".to_owned(), name: "web-1".to_owned() };
        owner.containers[0].pod = Some(pod);
        assert_eq!(owner.to_string(), "pod shop/web-1");
    }
}
