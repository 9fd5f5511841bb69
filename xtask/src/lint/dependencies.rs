//! Licences and sources of what netpath is made of, held to deny.toml.
//!
//! In: deny.toml, and the graph of dependencies. Out: what is against it. `cargo deny` reads the same lists and knows
//! more, but takes minutes to install; this takes what cargo knows anyway.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::{
    metadata::{Metadata, Package},
    shell::root,
};

const LISTS: &str = "deny.toml";
/// The end of the address of Cargo's own registry.
const REGISTRY: &str = "/crates.io-index";

/// The lists that are held to here.
#[derive(Debug, Deserialize)]
struct Deny {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

/// Fails with all that is against the lists.
pub(super) fn check() -> anyhow::Result<()> {
    let text = fs::read_to_string(root().join(LISTS)).context(LISTS)?;
    let deny = Deny::parse(&text)?;
    let mut faults = BTreeSet::new();
    let mut names = BTreeSet::new();
    for target in &deny.graph.targets {
        let metadata = Metadata::read(target)?;
        for package in &metadata.packages {
            faults.extend(deny.faults(package)?);
        }
        names.extend(metadata.packages.into_iter().map(|package| package.name));
    }
    for exception in deny.licenses.exceptions.iter().filter(|e| !names.contains(&e.name)) {
        faults
            .insert(format!("{LISTS} has an exception for {}, which is not used", exception.name));
    }
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{}", faults.into_iter().collect::<Vec<_>>().join("\nxtask: "))
}

impl Deny {
    fn parse(text: &str) -> anyhow::Result<Self> {
        basic_toml::from_str(text).context(LISTS)
    }

    /// What is against the lists in one package.
    fn faults(&self, package: &Package) -> anyhow::Result<Vec<String>> {
        let mut faults = Vec::new();
        let whose = format!("{} {}", package.name, package.version);
        if let Some(ban) = self.bans.deny.iter().find(|ban| ban.name == package.name) {
            faults.push(format!("{whose} is in the graph: {}", ban.reason));
        }
        if let Some(source) = &package.source
            && !is_from_the_registry(source)
        {
            faults.push(format!("{whose} comes from {source}"));
        }
        match &package.license {
            None => faults.push(format!("{whose} does not say its licence")),
            Some(license) if !self.is_allowed_license(&package.name, license)? => {
                faults.push(format!("{whose} is under {license}"));
            }
            Some(_) => {}
        }
        let anything = package.dependencies.iter().filter(|d| d.req == "*");
        // Of others' crates, those that are only for their tests are not resolved, and don't matter.
        let anything = anything.filter(|_| package.source.is_none());
        faults.extend(anything.map(|d| format!("{whose} takes any version of {}", d.name)));
        Ok(faults)
    }

    fn is_allowed_license(&self, name: &str, license: &str) -> anyhow::Result<bool> {
        let expression = Expression::parse_mode(license, ParseMode::LAX)
            .with_context(|| format!("{name}: {license}"))?;
        let own = self.licenses.exceptions.iter().filter(|e| e.name == name);
        let mut allowed = Vec::new();
        for text in self.licenses.allow.iter().chain(own.flat_map(|e| &e.allow)) {
            allowed.push(Licensee::parse(text).with_context(|| format!("{LISTS}: {text}"))?);
        }
        Ok(expression.evaluate(|asked| allowed.iter().any(|licensee| licensee.satisfies(asked))))
    }
}

/// Whether a crate comes from Cargo's own registry, as cargo-deny has it where deny.toml lists no other.
fn is_from_the_registry(source: &str) -> bool {
    source.starts_with("registry+") && source.ends_with(REGISTRY)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = r#"
        [graph]
        targets = ["x86_64-unknown-linux-gnu"]
        [licenses]
        allow = ["MIT", "BSD-3-Clause"]
        exceptions = [{ crate = "own", allow = ["LGPL-2.1-or-later"] }]
        [bans]
        deny = [{ crate = "banned", reason = "not needed" }]
    "#;

    fn faults(name: &str, license: Option<&str>, source: Option<&str>, asks: &str) -> Vec<String> {
        let package = json!({
            "id": name, "name": name, "version": "1.0.0", "license": license, "source": source,
            "manifest_path": "/x/Cargo.toml", "targets": [],
            "dependencies": [{ "name": "other", "req": asks }],
        });
        let package = serde_json::from_value(package).unwrap();
        Deny::parse(TEXT).unwrap().faults(&package).unwrap()
    }

    #[test]
    fn a_licence_is_allowed_as_a_whole_or_for_one_crate() {
        let of = |name, license| {
            faults(name, Some(license), Some("registry+https://host/crates.io-index"), "1")
        };
        let none: [&str; 0] = [];
        assert_eq!(of("a", "MIT OR GPL-3.0-only"), none);
        assert_eq!(of("a", "GPL-3.0-only/MIT"), none);
        assert_eq!(of("a", "MIT AND BSD-3-Clause"), none);
        assert_eq!(of("a", "MIT AND Zlib"), ["a 1.0.0 is under MIT AND Zlib"]);
        assert_eq!(of("own", "LGPL-2.1-or-later"), none);
        assert_eq!(of("a", "LGPL-2.1-or-later"), ["a 1.0.0 is under LGPL-2.1-or-later"]);
        assert_eq!(faults("a", None, None, "1"), ["a 1.0.0 does not say its licence"]);
    }

    #[test]
    fn only_the_registry_is_a_source() {
        let of = |source| faults("a", Some("MIT"), Some(source), "1");
        assert_eq!(of("registry+https://other"), ["a 1.0.0 comes from registry+https://other"]);
        let git = "git+https://host/crates.io-index";
        assert_eq!(of(git), [format!("a 1.0.0 comes from {git}")]);
    }

    #[test]
    fn what_is_banned_or_of_any_version_is_named() {
        let of = |name, asks| faults(name, Some("MIT"), None, asks);
        assert_eq!(of("banned", "1"), ["banned 1.0.0 is in the graph: not needed"]);
        assert_eq!(of("a", "*"), ["a 1.0.0 takes any version of other"]);
    }
}
