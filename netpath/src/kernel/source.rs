//! The object's programs, ready to be loaded without aya: parsed once more, given their read-only
//! data, and relocated against the maps that aya has made.
//!
//! What is read-only to a program is so from its loading on. What is probed later, because its
//! module came later, has a source of its own.

use std::{
    collections::HashSet,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd},
    time::Instant,
};

use aya_obj::EbpfSectionKind;
use netpath_common::{args::Positions, layout::Layout};

use super::{
    KernelError,
    error::tail,
    globals::Globals,
    object::{BYTES, Object},
    options::Options,
    raw::{self, ProgramKind, load_program},
};

/// The object, ready to load programs from.
pub(super) struct Source {
    parsed: aya_obj::Object,
    /// Programs that are loaded hold it themselves.
    _read_only: Vec<OwnedFd>,
}

impl Source {
    pub(super) fn new(
        object: &Object,
        layout: &Layout,
        positions: &Positions,
        options: &Options,
    ) -> Result<Self, KernelError> {
        let fail = KernelError::Object;
        let mut parsed = aya_obj::Object::parse(BYTES).map_err(|e| fail(e.to_string()))?;
        let globals = Globals::new(layout, options);
        let positions = [("POSITIONS", positions.bytes())];
        let all = globals.iter().chain(positions).map(|(name, bytes)| (name, (bytes, true)));
        parsed.patch_map_data(all.collect()).map_err(|e| fail(e.to_string()))?;
        let mut read_only = Vec::new();
        let mut maps: Vec<(String, RawFd, aya_obj::Map)> = Vec::new();
        for (name, map) in &parsed.maps {
            let fd = if map.section_kind() == EbpfSectionKind::Rodata {
                let data = raw::frozen_map(map.data())
                    .map_err(|e| KernelError::system(format!("make the map {name}"), e))?;
                read_only.push(data);
                read_only.last().map(OwnedFd::as_raw_fd)
            } else {
                object.map_fds.iter().find(|(of, _)| of == name).map(|(_, fd)| *fd)
            };
            maps.extend(fd.map(|fd| (name.clone(), fd, map.clone())));
        }
        let sections: HashSet<usize> =
            parsed.functions.keys().map(|(section, _)| *section).collect();
        parsed
            .relocate_maps(maps.iter().map(|(name, fd, map)| (name.as_str(), *fd, map)), &sections)
            .map_err(|e| fail(e.to_string()))?;
        parsed.relocate_calls(&sections).map_err(|e| fail(e.to_string()))?;
        Ok(Self { parsed, _read_only: read_only })
    }

    /// Loads a program.
    pub(super) fn load(&self, name: &str, kind: ProgramKind) -> Result<OwnedFd, KernelError> {
        let program = self
            .parsed
            .programs
            .get(name)
            .ok_or_else(|| KernelError::Object(format!("the object has no program {name}")))?;
        let instructions = &self.parsed.functions[&program.function_key()].instructions;
        let begun = Instant::now();
        let loaded = load_program(name, instructions, &program.license, kind, None);
        if let Ok(program) = &loaded
            && tracing::enabled!(tracing::Level::DEBUG)
        {
            let verified = raw::verified_instructions(program.as_fd()).unwrap_or(0);
            let (count, took) = (instructions.len(), begun.elapsed());
            tracing::debug!("{name}: {count} instructions, {verified} verified in {took:.1?}");
        }
        loaded.or_else(|source| {
            // Once more, for the verifier's log.
            let mut log = vec![0u8; 1 << 20];
            load_program(name, instructions, &program.license, kind, Some(&mut log)).map_err(|_| {
                let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
                let log = tail(&String::from_utf8_lossy(&log[..end]));
                if log.is_empty() {
                    KernelError::system(format!("load {name}"), source)
                } else {
                    KernelError::Verifier { program: name.to_owned(), log }
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use netpath_common::{
        point::{HOOK_SLOTS, POINTS},
        span::SPANS,
    };

    use super::*;

    #[test]
    fn the_object_holds_the_programs_of_the_tables_and_no_others() {
        let parsed = aya_obj::Object::parse(BYTES).expect("the object is built with the crate");
        let found: BTreeSet<String> = parsed.programs.into_keys().collect();
        let mut wanted =
            BTreeSet::from(["netns_hooks", "peek_memory", "find_backlog"].map(str::to_owned));
        for point in POINTS {
            if point.tracepoint.is_some() {
                wanted.insert(format!("tp_{}", point.point));
            }
            if !point.functions.is_empty() {
                wanted.extend([format!("fe_{}", point.point), format!("kp_{}", point.point)]);
            }
        }
        for i in 0..SPANS.len() {
            wanted.extend(["se", "sx", "ke", "kx"].map(|kind| format!("{kind}_{i}")));
        }
        wanted.extend((0..HOOK_SLOTS).map(|slot| format!("hook_slot_{slot}")));
        assert_eq!(found, wanted);
    }
}
