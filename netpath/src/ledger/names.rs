//! What the rules are called that packets walk: events name a table or chain by its address alone, which
//! another one may have after a reload.
//!
//! In: addresses that packets have met, and names as they are read, soon after. Out: what rows and drops are
//! keyed by, which is the number of a name once that is known: rules that are loaded anew go on in the same
//! row, and an address that another one has got since is another row.

use std::collections::{BTreeMap, BTreeSet};

use netpath_common::hop::RuleSet;
use rustc_hash::FxHashMap;

/// Names of rules.
#[derive(Debug, Default)]
pub struct RuleNames {
    /// By address, the number of the name that it has now.
    numbers: FxHashMap<u64, u64>,
    names: Vec<String>,
    /// Met, and not named yet.
    unnamed: BTreeSet<(RuleSet, u64)>,
    /// Asked for in vain.
    nameless: BTreeSet<u64>,
}

impl RuleNames {
    /// What the rules at this address are keyed by; the address itself until their name is known.
    pub(super) fn key(&self, address: u64) -> u64 {
        self.numbers.get(&address).copied().unwrap_or(address)
    }

    /// Notes that packets have met rules of this key.
    pub(super) fn met(&mut self, (kind, key): (RuleSet, u64)) {
        if self.number(key).is_none() && !self.nameless.contains(&key) {
            self.unnamed.insert((kind, key));
        }
    }

    /// Rules that were met and have no name yet: each is told once.
    pub fn take_unnamed(&mut self) -> BTreeSet<(RuleSet, u64)> {
        std::mem::take(&mut self.unnamed)
    }

    /// Says what is called how, empty where it has no name; the keys that it had, with those that it has now.
    pub(super) fn learn<'a>(
        &mut self,
        named: impl IntoIterator<Item = (u64, &'a str)>,
    ) -> BTreeMap<u64, u64> {
        let mut changed = BTreeMap::new();
        for (address, name) in named {
            if name.is_empty() {
                self.nameless.insert(address);
                continue;
            }
            let known = self.names.iter().position(|known| known == name);
            let number = known.unwrap_or_else(|| {
                self.names.push(name.to_owned());
                self.names.len() - 1
            });
            self.numbers.insert(address, number as u64);
            changed.insert(address, number as u64);
        }
        changed
    }

    /// Says that rule sets have changed: whatever is met from now on is asked for anew.
    pub fn forget(&mut self) {
        self.numbers.clear();
        self.nameless.clear();
    }

    /// The name that a key stands for.
    pub fn name(&self, key: u64) -> Option<&str> {
        self.names.get(usize::try_from(self.number(key)?).ok()?).map(String::as_str)
    }

    /// A key that is a number: addresses are larger than there are names.
    fn number(&self, key: u64) -> Option<u64> {
        let is_number = key < self.names.len() as u64;
        if is_number { Some(key) } else { self.numbers.get(&key).copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u64 = 0xffff_8880_0000_1000;
    const B: u64 = 0xffff_8880_0000_2000;

    #[test]
    fn rules_that_are_loaded_anew_keep_their_key() {
        let mut names = RuleNames::default();
        names.met((RuleSet::NftChain, A));
        assert_eq!(names.take_unnamed(), BTreeSet::from([(RuleSet::NftChain, A)]));
        assert_eq!(names.key(A), A);
        let changed = names.learn([(A, "filter INPUT")]);
        assert_eq!(changed[&A], names.key(A));
        names.forget();
        assert_eq!(names.key(A), A);
        names.learn([(B, "filter INPUT"), (A, "filter FORWARD")]);
        assert_eq!(
            (names.name(names.key(B)), names.name(changed[&A])),
            (Some("filter INPUT"), Some("filter INPUT"))
        );
        assert_eq!(names.key(B), changed[&A]);
        // The address has another's name now.
        assert_eq!(names.name(names.key(A)), Some("filter FORWARD"));
    }

    #[test]
    fn what_has_no_name_is_not_asked_for_again() {
        let mut names = RuleNames::default();
        names.met((RuleSet::XtTable, A));
        names.take_unnamed();
        assert!(names.learn([(A, "")]).is_empty());
        names.met((RuleSet::XtTable, A));
        assert!(names.take_unnamed().is_empty());
        names.forget();
        names.met((RuleSet::XtTable, A));
        assert_eq!(names.take_unnamed().len(), 1);
        assert_eq!(names.name(A), None);
    }
}
