//! What the rules are called that packets walk: events name them by address alone.
//!
//! In: addresses of tables and chains. Out: their names, read from kernel memory. Rules can be
//! replaced at any time, so each is looked up soon after it was first seen, and what does not look
//! like a name is none.

use std::collections::BTreeMap;

use netpath_common::hop::RuleSet;

use super::{Tracer, btf::KernelBtf, object::Object};

/// Where a table or chain has its name.
struct Names<'a> {
    object: &'a mut Object,
    btf: &'a KernelBtf,
}

impl Tracer {
    /// Names of rules by their address, as they are now; those that can't be read are empty.
    pub fn rule_names(
        &mut self,
        asked: impl IntoIterator<Item = (RuleSet, u64)>,
    ) -> BTreeMap<u64, String> {
        let mut names = Names { object: &mut self.object, btf: &self.known.btf };
        let read = |(kind, at)| (at, names.of(kind, at).unwrap_or_default());
        asked.into_iter().map(read).collect()
    }
}

impl Names<'_> {
    fn of(&mut self, kind: RuleSet, at: u64) -> Option<String> {
        match kind {
            RuleSet::XtTable => self.text(at + self.btf.member("xt_table", "name")?),
            RuleSet::EbtTable => self.text(at + self.btf.member("ebt_table", "name")?),
            RuleSet::NftChain => {
                let table = self.pointer(at + self.btf.member("nft_chain", "table")?)?;
                let table = self.pointer(table + self.btf.member("nft_table", "name")?)?;
                let chain = self.pointer(at + self.btf.member("nft_chain", "name")?)?;
                Some(format!("{} {}", self.text(table)?, self.text(chain)?))
            }
        }
    }

    fn pointer(&mut self, at: u64) -> Option<u64> {
        let bytes = self.object.peek(at)?;
        bytes.first_chunk().map(|word| u64::from_ne_bytes(*word))
    }

    fn text(&mut self, at: u64) -> Option<String> {
        name(&self.object.peek(at)?)
    }
}

/// A name: printable, and ended by a zero.
fn name(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| *b == 0).filter(|end| *end > 0)?;
    let text = bytes.get(..end)?;
    text.iter().all(u8::is_ascii_graphic).then(|| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_names() {
        assert_eq!(name(b"filter\0\0rest").as_deref(), Some("filter"));
        for wrong in [&b"\0"[..], b"endless", b"a b\0", b"\xff\xff\0", b""] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
    }
}
