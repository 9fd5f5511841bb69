//! Settings of the path's namespaces (sysctl) that decide which way packets take, and what becomes of them: said
//! when they change while tracing.
//!
//! In: namespaces, about once a second. Out: what has changed.

use std::{
    collections::BTreeMap,
    fmt, fs,
    time::{Duration, Instant},
};

use super::pace::Pace;
use crate::netns::Netns;

const EVERY: Duration = Duration::from_secs(1);
/// Looks may take one part in so many of a CPU.
const SHARE: u32 = 200;

/// The switch with which bridged packets run through iptables.
pub(super) const BRIDGE_NF: &str = "net.bridge.bridge-nf-call-iptables";

/// Their names, as `sysctl` takes them.
const SETTINGS: &[&str] = &[
    BRIDGE_NF,
    "net.bridge.bridge-nf-call-ip6tables",
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "net.ipv4.conf.all.rp_filter",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_be_liberal",
    "net.ipv4.tcp_syncookies",
];

/// The settings of each namespace, by its cookie, as they were at the last look; `None` where there is none.
#[derive(Debug)]
pub(super) struct Settings {
    known: BTreeMap<u32, Vec<Option<String>>>,
    pace: Pace,
}

/// A setting that has another value now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) netns: u32,
    pub(super) name: &'static str,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, from, to, .. } = self;
        match (from, to) {
            (Some(from), Some(to)) => write!(f, "{name} changed from {from} to {to}"),
            (None, Some(to)) => write!(f, "{name} has come, and is {to}"),
            (_, None) => write!(f, "{name} is gone"),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { known: BTreeMap::new(), pace: Pace::new(EVERY, SHARE, Duration::ZERO) }
    }
}

impl Settings {
    /// Begins with what they are now.
    pub(super) fn of<'a>(namespaces: impl Iterator<Item = (u32, &'a Netns)>) -> Self {
        let mut this = Self::default();
        this.take(namespaces);
        this
    }

    /// Looks, unless it was done a moment ago.
    pub(super) fn look<'a>(
        &mut self,
        namespaces: impl Iterator<Item = (u32, &'a Netns)>,
    ) -> Vec<Change> {
        if !self.pace.is_due() {
            return Vec::new();
        }
        let begun = Instant::now();
        let changes = self.take(namespaces);
        self.pace.took(begun.elapsed());
        changes
    }

    fn take<'a>(&mut self, namespaces: impl Iterator<Item = (u32, &'a Netns)>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (cookie, netns) in namespaces {
            // One that is gone has nothing to say.
            let Ok(now) = netns.run(|| SETTINGS.iter().map(|name| read(name)).collect()) else {
                continue;
            };
            changes.extend(self.news(cookie, now));
        }
        changes
    }

    /// What differs from what was known of a namespace; nothing the first time.
    fn news(&mut self, netns: u32, now: Vec<Option<String>>) -> Vec<Change> {
        let Some(before) = self.known.insert(netns, now.clone()) else { return Vec::new() };
        let values = SETTINGS.iter().zip(before.into_iter().zip(now));
        let changed = values.filter(|(_, (from, to))| from != to);
        changed.map(|(name, (from, to))| Change { netns, name, from, to }).collect()
    }
}

/// The value of a setting in the calling thread's namespace.
fn read(name: &str) -> Option<String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path).ok().map(|value| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_said_and_what_comes() {
        let mut settings = Settings::default();
        let values = |first: Option<&str>| {
            let mut values = vec![Some("1".to_owned()); SETTINGS.len()];
            values[0] = first.map(str::to_owned);
            values
        };
        let mut said = |first| {
            let changes = settings.news(7, values(first));
            changes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(said(None).is_empty());
        assert_eq!(said(Some("0")), [format!("{BRIDGE_NF} has come, and is 0")]);
        assert!(said(Some("0")).is_empty());
        assert_eq!(said(Some("1")), [format!("{BRIDGE_NF} changed from 0 to 1")]);
        assert_eq!(said(None), [format!("{BRIDGE_NF} is gone")]);
    }
}
