//! Kernel symbols, from /proc/kallsyms.

use std::{collections::BTreeSet, fs};

use netpath_common::args::Positions;
use rustc_hash::FxHashMap;

use super::btf::Found;
use crate::session::FunctionRange;

/// Suffixes that the compiler gives to functions whose arguments it has changed.
const CHANGED: [&str; 2] = [".isra.", ".constprop."];

/// The kernel's symbols, as text: it is read once, and looked through a few times.
#[derive(Debug, Default)]
pub(super) struct Symbols(Vec<u8>);

/// A line of it.
struct Symbol<'a> {
    /// 0 where the kernel hides addresses.
    address: u64,
    kind: u8,
    name: &'a str,
    module: Option<&'a str>,
}

impl Symbols {
    pub(super) fn read() -> Self {
        let text = fs::read("/proc/kallsyms")
            .inspect_err(|error| tracing::debug!("/proc/kallsyms: {error}"));
        Self(text.unwrap_or_default())
    }

    fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.0.split(|b| *b == b'\n').filter_map(symbol)
    }

    /// Names of the functions at `addresses`; those that the kernel hides are absent.
    pub(super) fn names(&self, addresses: &BTreeSet<u64>) -> FxHashMap<u64, String> {
        let mut names = FxHashMap::default();
        for symbol in self.iter().filter(|s| s.address != 0 && addresses.contains(&s.address)) {
            names.entry(symbol.address).or_insert_with(|| symbol.name.to_owned());
        }
        names
    }

    /// Whether the kernel hides its symbols' addresses.
    pub(super) fn are_hidden(&self) -> bool {
        self.iter().all(|s| s.address == 0)
    }

    /// Where the functions that `wanted` names lie, by their addresses; of one that the compiler has
    /// divided, each part.
    pub(super) fn ranges(&self, wanted: impl Fn(&str) -> bool) -> Vec<FunctionRange> {
        let is_code = |s: &Symbol<'_>| s.address != 0 && s.kind.eq_ignore_ascii_case(&b't');
        let bare =
            |s: &Symbol<'_>| s.name.split_once('.').map_or(s.name, |(name, _)| name).to_owned();
        let mut found: Vec<FunctionRange> = self
            .iter()
            .filter(is_code)
            .map(|s| FunctionRange { from: s.address, to: u64::MAX, name: bare(&s) })
            .filter(|range| wanted(&range.name))
            .collect();
        found.sort_by_key(|range| range.from);
        found.dedup_by_key(|range| range.from);
        for next in self.iter().filter(is_code).map(|s| s.address) {
            let after = found.partition_point(|range| range.from < next);
            if let Some(range) = after.checked_sub(1).and_then(|at| found.get_mut(at)) {
                range.to = range.to.min(next);
            }
        }
        found
    }

    /// Names of the functions that these addresses lie in; those that the kernel hides are absent.
    pub(super) fn functions_at(&self, addresses: &BTreeSet<u64>) -> FxHashMap<u64, String> {
        let mut best: FxHashMap<u64, (u64, &str)> = FxHashMap::default();
        for symbol in self.iter().filter(|s| s.address != 0 && s.kind.eq_ignore_ascii_case(&b't')) {
            for address in addresses.range(symbol.address + 1..) {
                let near = best.entry(*address).or_default();
                if symbol.address > near.0 {
                    *near = (symbol.address, symbol.name);
                }
            }
        }
        let bare = |name: &str| name.split_once('.').map_or(name, |(name, _)| name).to_owned();
        best.into_iter().map(|(address, (_, name))| (address, bare(name))).collect()
    }

    /// The first of `names` that is exactly one function, changed by the compiler or not; to be
    /// probed without its arguments. Modules are left out whose BTF is `unread`: they will be known by that.
    pub(super) fn of_functions(
        &self,
        names: &[&str],
        unread: impl Fn(&str) -> bool,
    ) -> Option<Found> {
        let mut found: Vec<(&str, usize)> = vec![("", 0); names.len()];
        for symbol in self.iter().filter(|s| s.kind.eq_ignore_ascii_case(&b't')) {
            let Some(at) = names.iter().position(|name| *name == bare(symbol.name)) else {
                continue;
            };
            if symbol.module.is_some_and(&unread) {
                continue;
            }
            found[at] = (symbol.name, found[at].1 + 1);
        }
        let (name, _) = found.into_iter().find(|(_, count)| *count == 1)?;
        let row = Positions::NONE.rows[0];
        Some(Found { name: name.to_owned(), module: None, id: 0, arity: 0, row })
    }
}

/// Reads `ADDRESS KIND NAME`, and what may follow of a module.
fn symbol(line: &[u8]) -> Option<Symbol<'_>> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let kind = *words.next()?.as_bytes().first()?;
    let name = words.next()?;
    let module = words.next().and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
    Some(Symbol { address, kind, name, module })
}

/// A name without what the compiler has added.
fn bare(name: &str) -> &str {
    let cut = CHANGED.iter().find_map(|suffix| {
        let (bare, number) = name.split_once(suffix)?;
        number.bytes().all(|b| b.is_ascii_digit()).then_some(bare)
    });
    cut.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"ffffffff81000000 T start\n\
        ffffffffc0001000 t get_unique_tuple.isra.0\t[nf_nat]\n\
        ffffffffc0002000 t twice\t[a]\n\
        ffffffffc0003000 t twice\t[b]\n\
        ffffffffc0004000 d start\n\
        broken\n";

    #[test]
    fn a_function_is_found_by_its_own_name_or_without_the_compilers_suffix() {
        let symbols = Symbols(TEXT.to_vec());
        let name = |names: &[&str]| symbols.of_functions(names, |_| false).map(|f| f.name);
        assert_eq!(name(&["get_unique_tuple"]).as_deref(), Some("get_unique_tuple.isra.0"));
        assert_eq!(name(&["twice", "start"]).as_deref(), Some("start"));
        assert_eq!(name(&["twice"]), None);
        assert_eq!(name(&["absent"]), None);
        let read = |names: &[&str]| symbols.of_functions(names, |module| module == "nf_nat");
        assert!(read(&["get_unique_tuple"]).is_none() && read(&["start"]).is_some());
    }

    #[test]
    fn what_lies_in_a_function_is_found() {
        let text = b"ffffffff81000000 T start\n\
            ffffffff81000100 t other\n\
            ffffffff81000800 t start.cold\n\
            ffffffff81000900 T last\n";
        let symbols = Symbols(text.to_vec());
        let found: Vec<(u64, u64)> = symbols
            .ranges(|name| name == "start")
            .iter()
            .map(|r| (r.from & 0xfff, r.to & 0xfff))
            .collect();
        assert_eq!(found, [(0, 0x100), (0x800, 0x900)]);
        let at = |address| symbols.functions_at(&BTreeSet::from([address])).remove(&address);
        assert_eq!(at(0xffff_ffff_8100_0850).as_deref(), Some("start"));
        assert_eq!(at(0xffff_ffff_8100_0100).as_deref(), Some("start"));
        assert_eq!(at(0xffff_ffff_8100_0101).as_deref(), Some("other"));
        assert!(!symbols.are_hidden() && Symbols::default().are_hidden());
    }

    #[test]
    fn addresses_have_names() {
        let symbols = Symbols(TEXT.to_vec());
        let names = symbols.names(&BTreeSet::from([0xffff_ffff_c000_1000, 1]));
        assert_eq!(names.len(), 1);
        assert_eq!(names[&0xffff_ffff_c000_1000], "get_unique_tuple.isra.0");
        assert!(Symbols::default().names(&BTreeSet::from([1])).is_empty());
    }
}
