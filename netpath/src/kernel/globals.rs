//! What the programs are told before they are loaded: read-only to them, and known to the verifier, which
//! cuts off what it makes unreachable.

use netpath_common::layout::Layout;

use super::options::Options;

/// Read-only data, each by the name of its static.
pub(super) struct Globals(Vec<(&'static str, Vec<u8>)>);

impl Globals {
    pub(super) fn new(layout: &Layout, options: &Options) -> Self {
        let number = |n: u32| n.to_ne_bytes().to_vec();
        Self(vec![
            ("LAYOUT", layout.offsets().into_iter().flat_map(u32::to_ne_bytes).collect()),
            ("INERT", number(options.inert.map_or(0, |inert| inert as u32))),
            ("CAPTURE_HEADERS", number(u32::from(options.capture_headers))),
            ("FILTER_STEPS", number(options.filter_steps)),
            (aya_log::LEVEL, vec![if options.log_kernel { u8::MAX } else { 0 }]),
        ])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.0.iter().map(|(name, bytes)| (*name, bytes.as_slice()))
    }
}
