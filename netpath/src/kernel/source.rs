//! Programs that are loaded without aya: the object parsed once more, and relocated against the
//! maps that aya has made.

use std::{
    collections::HashSet,
    os::fd::{OwnedFd, RawFd},
};

use super::{
    KernelError,
    error::tail,
    object::{BYTES, Object},
    raw::{ProgramKind, load_program},
};

/// The object, ready to load programs from.
pub(super) struct Source(aya_obj::Object);

impl Source {
    pub(super) fn relocated(object: &Object) -> Result<Self, KernelError> {
        let fail = KernelError::Object;
        let mut parsed = aya_obj::Object::parse(BYTES).map_err(|e| fail(e.to_string()))?;
        let maps: Vec<(&str, RawFd, aya_obj::Map)> = object
            .map_fds
            .iter()
            .filter_map(|(name, fd)| Some((name.as_str(), *fd, parsed.maps.get(name)?.clone())))
            .collect();
        let sections: HashSet<usize> =
            parsed.functions.keys().map(|(section, _)| *section).collect();
        parsed
            .relocate_maps(maps.iter().map(|(name, fd, map)| (*name, *fd, map)), &sections)
            .map_err(|e| fail(e.to_string()))?;
        parsed.relocate_calls(&sections).map_err(|e| fail(e.to_string()))?;
        Ok(Self(parsed))
    }

    /// Loads a program.
    pub(super) fn load(&self, name: &str, kind: ProgramKind) -> Result<OwnedFd, KernelError> {
        let program = self
            .0
            .programs
            .get(name)
            .ok_or_else(|| KernelError::Object(format!("the object has no program {name}")))?;
        let instructions = &self.0.functions[&program.function_key()].instructions;
        load_program(name, instructions, &program.license, kind, None).or_else(|source| {
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
        let mut wanted = BTreeSet::from(["netns_hooks".to_owned()]);
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
