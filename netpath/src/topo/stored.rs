//! A topology as it is kept in files: older ones have one interface that was asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Chosen, Host, Place, Topology};

#[derive(Deserialize)]
pub(super) struct Stored {
    hosts: BTreeMap<u32, Host>,
    chain: Vec<Place>,
    #[serde(default)]
    everything: bool,
    #[serde(default)]
    chosen: Vec<Chosen>,
    focus: Option<Place>,
    inside: Option<Place>,
    outside: Option<Place>,
}

impl From<Stored> for Topology {
    fn from(stored: Stored) -> Self {
        let Stored { hosts, chain, everything, mut chosen, focus, inside, outside } = stored;
        chosen.extend(focus.map(|focus| Chosen { focus, inside, outside }));
        Self { hosts, chain, chosen, everything, left_out: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BR0, VETH0, topology};

    #[test]
    fn what_is_kept_is_read_again_also_as_it_was_kept_before() {
        let mut several = topology();
        several.chosen.push(Chosen { focus: BR0, ..Chosen::default() });
        let mut kept = serde_json::to_value(&several).unwrap();
        assert_eq!(serde_json::from_value::<Topology>(kept.clone()).unwrap(), several);
        let fields = kept.as_object_mut().unwrap();
        fields.remove("chosen");
        fields.insert("focus".to_owned(), serde_json::to_value(VETH0).unwrap());
        let older: Topology = serde_json::from_value(kept).unwrap();
        assert_eq!(older.chosen, [Chosen { focus: VETH0, inside: None, outside: None }]);
    }
}
