//! A profile for speedscope: one sampled profile per path, weighted by nanoseconds.
//!
//! The form is speedscope's own (`https://www.speedscope.app/file-format-schema.json`).

use serde::Serialize;

use super::stack;
use crate::snapshot::Snapshot;

/// The file.
#[derive(Debug, Serialize)]
pub(super) struct File {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: String,
    shared: Shared,
    profiles: Vec<Profile>,
}

#[derive(Debug, Serialize)]
struct Shared {
    frames: Vec<FrameName>,
}

#[derive(Debug, Serialize)]
struct FrameName {
    name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    /// Indices of frames, outermost first.
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

/// All paths, a mean packet of each: the profile's length is its mean total, in ns.
pub(super) fn profile(snapshot: &Snapshot) -> File {
    let mut frames: Vec<FrameName> = Vec::new();
    let mut index = |name: &str| {
        frames.iter().position(|f| f.name == name).unwrap_or_else(|| {
            frames.push(FrameName { name: name.to_owned() });
            frames.len() - 1
        })
    };
    let mut profiles = Vec::new();
    for path in &snapshot.paths {
        let lines = stack::path_lines(path, 1.0);
        let samples =
            lines.iter().map(|l| l.names.iter().map(|name| index(name)).collect()).collect();
        let weights: Vec<u64> = lines.iter().map(|l| l.ns).collect();
        profiles.push(Profile {
            r#type: "sampled",
            name: format!("{} {}", path.direction, path.name),
            unit: "nanoseconds",
            start_value: 0,
            end_value: weights.iter().sum(),
            samples,
            weights,
        });
    }
    File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: format!("{} in {}", snapshot.iface, snapshot.netns),
        exporter: format!("netpath@{}", snapshot.version),
        shared: Shared { frames },
        profiles,
    }
}
