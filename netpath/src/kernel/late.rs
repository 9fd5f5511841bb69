//! Modules and hooks that come while a trace goes on: a container's first NAT rule loads conntrack,
//! a firewall's reload registers its chains anew.
//!
//! In: the topology, some times a second. Out: probes and links on what is new, and what changed, in
//! sentences. What went away needs nothing: its probes go with it, or keep it from going.

use std::collections::BTreeSet;

use netpath_common::{hop::HOPS, point::HOOK_ENTRIES};

use super::{
    Aim, KernelError, Tracer,
    hooks::{self, Listed, Named},
    known::{Reading, module_names},
    lacking,
    object::Object,
    plan::Target,
    symbols::Symbols,
};
use crate::{clock::now_ns, hooks::HookKey, netns::Netns, topo::Topology};

/// What there was to attach to, cheap to read again.
#[derive(Debug, Default)]
pub(super) struct Seen {
    modules: BTreeSet<String>,
    /// By namespace; our own links are among them. `None` where it couldn't be read.
    hooks: Option<Vec<(u32, Vec<Listed>)>>,
    /// Address of the function as which our links are registered (`nf_hook_run_bpf`), once known.
    link_function: Option<u64>,
}

impl Seen {
    /// What there is, `planned` having been found before the links were attached. `own` says how many
    /// of them a hook point has got since.
    pub(super) fn after_attaching(
        object: &mut Object,
        planned: &[(Netns, Vec<Listed>)],
        modules: BTreeSet<String>,
        own: impl Fn(HookKey) -> usize,
    ) -> Self {
        let namespaces: Vec<Netns> = planned.iter().map(|(netns, _)| netns.clone()).collect();
        let mut link_function = None;
        let hooks = hooks::survey(object, &namespaces).ok().map(|now| {
            let both = planned.iter().zip(&now);
            both.map(|((netns, planned), (_, now))| {
                let lists = planned.iter().zip(now).map(|(was, is)| {
                    let own = own(was.key(netns.cookie));
                    let known = accounted(was, is, own);
                    if own > 0 && known == *is {
                        let new = is.entries.iter().find(|entry| !was.entries.contains(entry));
                        link_function = link_function.or(new.map(|(function, _)| *function));
                    }
                    known
                });
                (netns.cookie, lists.collect())
            })
            .collect()
        });
        Self { modules, hooks, link_function }
    }

    /// Also knows what was known before of other namespaces.
    fn keep(&mut self, before: Self) {
        let Some(known) = &mut self.hooks else { return };
        let mut others = before.hooks.unwrap_or_default();
        others.retain(|(netns, _)| known.iter().all(|(known, _)| known != netns));
        known.append(&mut others);
    }

    /// Forgets namespaces that are gone.
    pub(super) fn forget(&mut self, gone: &BTreeSet<u32>) {
        self.hooks.iter_mut().for_each(|hooks| hooks.retain(|(netns, _)| !gone.contains(netns)));
    }

    /// Whether the hooks of a namespace have been looked at before.
    fn knows(&self, netns: u32) -> bool {
        self.hooks.iter().flatten().any(|(cookie, _)| *cookie == netns)
    }

    /// The hook points that are not what they were.
    fn changed(&self, surveyed: &[(Netns, Vec<Listed>)]) -> BTreeSet<HookKey> {
        let before = self.hooks.as_deref().unwrap_or_default();
        let mut changed = BTreeSet::new();
        for (netns, lists) in surveyed {
            let known = before.iter().find(|(cookie, _)| *cookie == netns.cookie);
            for list in lists {
                if known.is_none_or(|(_, known)| !known.contains(list)) {
                    changed.insert(list.key(netns.cookie));
                }
            }
        }
        changed
    }
}

/// What is known of a hook point once its links are attached: what is there now, where that is what was
/// planned for and `own` links. Anything else has come while they were being attached, and must be news
/// at the next look.
fn accounted(planned: &Listed, now: &Listed, own: usize) -> Listed {
    // A longer list is not read to its end.
    let expected = (planned.entries.len() + own).min(HOOK_ENTRIES);
    let kept = planned.entries.iter().filter(|entry| now.entries.contains(entry)).count();
    let all_there = kept == planned.entries.len() || expected == HOOK_ENTRIES;
    if now.entries.len() == expected && all_there { now.clone() } else { planned.clone() }
}

/// What a look at the kernel has brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// What changed, in sentences.
    pub notes: Vec<String>,
    /// Flights that were under way between these times, ns, may lack marks.
    pub unsure: (u64, u64),
    /// Where it is known: in these namespaces alone.
    pub only_in: Option<Vec<u32>>,
}

impl Tracer {
    /// Attaches to what has come since the last look; `None` where nothing has. To be called some times
    /// a second, with the path and its namespaces that are still there: without news it costs
    /// a few system calls per namespace.
    pub fn refresh<'a>(
        &mut self,
        topology: &Topology,
        namespaces: impl IntoIterator<Item = &'a Netns>,
    ) -> Result<Option<Refreshed>, KernelError> {
        let namespaces: Vec<Netns> = namespaces.into_iter().cloned().collect();
        self.renew(topology, &namespaces, false)
    }

    /// Attaches to namespaces that the path has come to lead to; the others are not looked at.
    pub fn take_in(
        &mut self,
        topology: &Topology,
        namespaces: &[Netns],
    ) -> Result<Option<Refreshed>, KernelError> {
        self.renew(topology, namespaces, true)
    }

    /// Looks at these namespaces, which are `more` than those that are known already, and at what else is new.
    fn renew(
        &mut self,
        topology: &Topology,
        namespaces: &[Netns],
        more: bool,
    ) -> Result<Option<Refreshed>, KernelError> {
        let reading = if more { None } else { self.reading.take() };
        let new = match reading {
            Some(reading) if !reading.is_done() => {
                self.reading = Some(reading);
                return Ok(None);
            }
            Some(reading) => Some(reading.take()?),
            None if more => None,
            None => {
                let modules = module_names();
                if !modules.is_subset(&self.seen.modules) {
                    self.reading = Reading::begin(modules, &self.options);
                    return Ok(None);
                }
                None
            }
        };
        let surveyed = if more {
            // One of them can be gone again.
            let each = namespaces.chunks(1).map(|one| hooks::survey(&mut self.object, one));
            each.filter_map(Result::ok).flatten().collect()
        } else {
            hooks::survey(&mut self.object, namespaces)?
        };
        let changed = self.seen.changed(&surveyed);
        let (mut loaded, mut symbols) = (Vec::new(), None);
        if let Some((modules, known, read)) = new {
            loaded = modules.difference(&self.seen.modules).cloned().collect();
            (self.seen.modules, self.known, symbols) = (modules, known, Some(read));
        } else if changed.is_empty() {
            return Ok(None);
        }
        let before = self.served_hops();
        // Our own links must not be taken for others': they go, and come again where they belong.
        let links = self.known.choice.links;
        let relinked = if links { changed.clone() } else { BTreeSet::new() };
        let surveyed = self.without_links(surveyed, &relinked);
        let points = self.known.name(&surveyed, symbols.as_ref());
        let others = self.plan.points.values().filter(|_| more).flat_map(|p| p.registered.clone());
        let lacking = lacking(topology, Some((&points, others.collect())), &self.options);
        if symbols.is_some() || lacking != self.aim.lacking {
            let symbols = symbols.unwrap_or_else(Symbols::read);
            self.aim = Aim::new(&self.object, &self.known, lacking, &symbols, &self.options)?;
        }
        let Self { probes, aim, .. } = self;
        let targets: Vec<Target> =
            aim.plan.targets.iter().filter(|target| !probes.has(target)).cloned().collect();
        // What took longest is done: from here on, until all is attached, marks are missing.
        let from_ns = now_ns();
        probes.attach(&aim.source, &targets);
        relinked.iter().for_each(|key| self.links.release_point(*key));
        let mut notes = self.replan(points, &changed, topology);
        let until_ns = now_ns();
        self.serve();
        let own = |key| if relinked.contains(&key) { self.links.count(key) } else { 0 };
        let modules = std::mem::take(&mut self.seen.modules);
        let link_function = self.seen.link_function;
        let seen = Seen::after_attaching(&mut self.object, &surveyed, modules, own);
        let known = std::mem::replace(&mut self.seen, seen);
        if more {
            self.seen.keep(known);
        }
        self.seen.link_function = self.seen.link_function.or(link_function);

        if !loaded.is_empty() {
            notes.insert(0, format!("loaded while tracing: {}", loaded.join(", ")));
        }
        let now: Vec<&str> = self.served_hops().difference(&before).copied().collect();
        if !now.is_empty() {
            notes.push(format!("measured from now on: {}", now.join(", ")));
        }
        let only_in =
            (more && targets.is_empty()).then(|| surveyed.iter().map(|(n, _)| n.cookie).collect());
        Ok(Some(Refreshed { notes, unsure: (from_ns, until_ns), only_in }))
    }

    /// What is registered without our own links at these hook points.
    fn without_links(
        &self,
        mut surveyed: Vec<(Netns, Vec<Listed>)>,
        points: &BTreeSet<HookKey>,
    ) -> Vec<(Netns, Vec<Listed>)> {
        for (netns, lists) in &mut surveyed {
            for list in lists {
                let key = list.key(netns.cookie);
                if points.contains(&key) {
                    let own: BTreeSet<i32> = self.links.priorities(key).collect();
                    list.entries.retain(|(function, priority)| {
                        Some(*function) != self.seen.link_function || !own.contains(priority)
                    });
                }
            }
        }
        surveyed
    }

    /// Plans changed hook points anew, and gives them their links.
    fn replan(
        &mut self,
        points: Vec<Named>,
        changed: &BTreeSet<HookKey>,
        topology: &Topology,
    ) -> Vec<String> {
        let points: Vec<Named> =
            points.into_iter().filter(|point| changed.contains(&point.key())).collect();
        let mut notes = Vec::new();
        self.plan.met_in_prerouting = topology.sharing();
        for point in &points {
            let key = point.key();
            self.plan.add(key.netns, point.family, point.hook, &point.registered);
            if !self.seen.knows(key.netns) {
                continue;
            }
            notes.push(format!(
                "the hooks of {} {} in {} changed",
                point.family.name(),
                point.hook.name(),
                topology.netns_name(key.netns)
            ));
        }
        if self.known.choice.links {
            let failed = self.links.attach(&self.aim.source, &points, &mut self.plan);
            notes.extend(failed.iter().map(ToString::to_string));
        } else {
            for point in &points {
                if let Some(point) = self.plan.points.get_mut(&point.key()) {
                    point.without_links();
                }
            }
        }
        notes
    }

    /// Keys of the hops that something serves.
    fn served_hops(&self) -> BTreeSet<&'static str> {
        HOPS.iter().filter(|hop| self.serving.of(hop).is_ok()).map(|hop| hop.key).collect()
    }
}

#[cfg(test)]
mod tests {
    use netpath_common::point::{Family, Hook};

    use super::*;

    fn listed(entries: &[(u64, i32)]) -> Listed {
        Listed { family: Family::ALL[0], hook: Hook::ALL[0], entries: entries.to_vec() }
    }

    #[test]
    fn what_comes_while_links_are_attached_is_news() {
        let planned = listed(&[(7, -200), (8, 0)]);
        // Two links of ours have address 1.
        let ours = listed(&[(1, -201), (7, -200), (1, -1), (8, 0)]);
        assert_eq!(accounted(&planned, &ours, 2), ours);
        let more = listed(&[(1, -201), (7, -200), (1, -1), (8, 0), (9, 100)]);
        assert_eq!(accounted(&planned, &more, 2), planned);
        let another = listed(&[(1, -201), (7, -200), (1, -1), (9, 100)]);
        assert_eq!(accounted(&planned, &another, 2), planned);
        assert_eq!(accounted(&planned, &planned, 0), planned);
    }

    #[test]
    fn a_list_that_is_not_read_to_its_end_is_no_news() {
        let planned = listed(&[(7, 0); HOOK_ENTRIES - 1]);
        let now = listed(&[(1, 0); HOOK_ENTRIES]);
        assert_eq!(accounted(&planned, &now, 5), now);
    }
}
