//! The graph of dependencies, as cargo tells it.
//!
//! In: a target. Out: the packages that are resolved for it, and which of them end up in what is built.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::shell::cargo;

/// What `cargo metadata` prints, as far as it is needed.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression, as the crate's authors wrote it.
    pub(crate) license: Option<String>,
    /// `None` for the workspace's own.
    pub(crate) source: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

/// What a package asks for.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) req: String,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    /// `None` for what is linked; `dev` or `build`.
    kind: Option<String>,
}

impl Metadata {
    /// What is resolved for this target, with the versions of Cargo.lock.
    pub(crate) fn read(target: &str) -> anyhow::Result<Self> {
        let mut command = cargo();
        command.args(["metadata", "--format-version=1", "--locked", "--filter-platform", target]);
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).context("cargo metadata is not as expected")
    }

    /// The packages of others whose code is in what is built of these: neither what runs while
    /// building (macros, build scripts) nor what tests need.
    pub(crate) fn linked_into(&self, names: &[&str]) -> Vec<&Package> {
        let packages: HashMap<&str, &Package> =
            self.packages.iter().map(|p| (p.id.as_str(), p)).collect();
        let nodes: HashMap<&str, &Node> =
            self.resolve.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
        let roots = self.packages.iter().filter(|p| p.source.is_none());
        let mut left: Vec<&str> =
            roots.filter(|p| names.contains(&&*p.name)).map(|p| &*p.id).collect();
        let mut met = BTreeSet::new();
        let mut linked = Vec::new();
        while let Some(id) = left.pop() {
            let Some(package) = packages.get(id).filter(|p| !p.is_macro()) else { continue };
            if !met.insert(id) {
                continue;
            }
            if package.source.is_some() {
                linked.push(*package);
            }
            let edges = nodes.get(id).into_iter().flat_map(|node| &node.deps);
            let linked = edges.filter(|edge| edge.dep_kinds.iter().any(|k| k.kind.is_none()));
            left.extend(linked.map(|edge| &*edge.pkg));
        }
        linked.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        linked
    }
}

impl Package {
    fn is_macro(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "proc-macro"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, own: bool, kind: &str) -> serde_json::Value {
        let source = if own { None } else { Some("registry+index") };
        json!({
            "id": name, "name": name, "version": "1.0.0", "license": null, "source": source,
            "manifest_path": "/x/Cargo.toml", "dependencies": [], "targets": [{ "kind": [kind] }],
        })
    }

    #[test]
    fn what_only_builds_or_tests_is_not_linked() {
        let edge =
            |to: &str, kind: Option<&str>| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] });
        let metadata: Metadata = serde_json::from_value(json!({
            "packages": [
                package("netpath", true, "bin"), package("common", true, "lib"),
                package("linked", false, "lib"), package("below", false, "lib"),
                package("macro", false, "proc-macro"), package("of-macro", false, "lib"),
                package("script", false, "lib"), package("tests", false, "lib"),
            ],
            "resolve": { "nodes": [
                { "id": "netpath", "deps": [
                    edge("common", None), edge("linked", None), edge("macro", None),
                    edge("script", Some("build")), edge("tests", Some("dev")),
                ] },
                { "id": "common", "deps": [edge("below", None)] },
                { "id": "macro", "deps": [edge("of-macro", None)] },
            ] },
        }))
        .unwrap();
        let linked = metadata.linked_into(&["netpath"]);
        let names: Vec<&str> = linked.iter().map(|p| &*p.name).collect();
        assert_eq!(names, ["below", "linked"]);
    }
}
