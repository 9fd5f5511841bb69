//! Profiles for speedscope, weighted by nanoseconds: of each path a mean packet, hop by hop, and its
//! single packets as they passed in time (speedscope's *Time Order*).
//!
//! The form is speedscope's own (`https://www.speedscope.app/file-format-schema.json`).

use serde::Serialize;

use super::stack::{self, Line};
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

/// All paths: the profiles' length is the mean total, or the single packet's, in ns.
pub(super) fn profile(snapshot: &Snapshot) -> File {
    let mut frames: Vec<FrameName> = Vec::new();
    let mut index = |name: &str| {
        frames.iter().position(|f| f.name == name).unwrap_or_else(|| {
            frames.push(FrameName { name: name.to_owned() });
            frames.len() - 1
        })
    };
    let mut profiles = Vec::new();
    let mut add = |name: String, lines: &[Line]| {
        let samples =
            lines.iter().map(|l| l.names.iter().map(|name| index(name)).collect()).collect();
        let weights: Vec<u64> = lines.iter().map(|l| l.ns).collect();
        profiles.push(Profile {
            r#type: "sampled",
            name,
            unit: "nanoseconds",
            start_value: 0,
            end_value: weights.iter().sum(),
            samples,
            weights,
        });
    };
    for path in &snapshot.paths {
        let name = format!("{} {}", path.direction, path.name);
        add(format!("{name}: mean packet"), &stack::path_lines(path, 1.0));
        for packet in &path.packets_shown {
            let title = format!("{name}: {} packet", packet.label);
            add(title, &stack::packet_lines(path, packet));
        }
    }
    File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: snapshot.what(),
        exporter: format!("netpath@{}", snapshot.version),
        shared: Shared { frames },
        profiles,
    }
}
