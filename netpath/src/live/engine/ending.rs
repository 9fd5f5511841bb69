//! What a trace has come to, so far and at its end: the ledger, with what the kernel has counted meanwhile and the
//! names of what packets met.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{DRAIN, Done, Engine};
use crate::{
    clock::own_cpu_ns, explain, facts, live::LiveError, session::Ending, snapshot::Snapshot,
};

/// The namespaces' counters are entered and read at most this often while tracing.
const FACTS_EVERY: Duration = Duration::from_secs(5);
/// Of so many namespaces at most.
const FACTS_MAX: usize = 64;

impl Engine {
    /// What an ending now would say.
    pub(super) fn ending(&self) -> Ending {
        let mut lost = self.tracer.lost();
        for (point, before) in &self.lost_before {
            if let Some(n) = lost.get_mut(point) {
                *n = n.saturating_sub(*before);
            }
        }
        lost.retain(|_, n| *n > 0);
        let more = (self.unkept_notes > 0)
            .then(|| format!("{} more notes of this sort were not kept", self.unkept_notes));
        Ending {
            paused_ns: u64::try_from(self.paused().saturating_sub(self.paused_before).as_nanos())
                .unwrap_or(u64::MAX),
            duration_ns: u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX),
            until_ns: 0,
            own_cpu_ns: own_cpu_ns().saturating_sub(self.cpu_before_ns),
            facts: self.facts.clone(),
            births: self.tracer.births().since(self.births_before),
            late_after_ns: self.tail.map_or(0, |tail| tail.after_ns()),
            lost,
            rules: BTreeMap::new(),
            rule_sets: BTreeMap::new(),
            quotas: self.quotas.so_far(),
            functions: self.ledger.functions.clone(),
            notes: self.notes.iter().cloned().chain(more).collect(),
        }
    }

    /// Reads what the namespaces' counters say now.
    pub(super) fn read_facts(&mut self) {
        let begun = Instant::now();
        // Of very many, some: what they count is seldom asked for.
        self.facts = facts::read(self.surroundings.namespaces().take(FACTS_MAX));
        self.facts_at = Instant::now();
        tracing::debug!("facts read in {:?}", begun.elapsed());
    }

    /// Names the functions that have freed packets without a reason.
    pub(super) fn name_functions(&mut self) {
        let asked = self.ledger.locations();
        self.ledger.functions.clone_from(self.tracer.functions(asked));
    }

    pub(super) fn snapshot(&mut self) -> Snapshot {
        if self.facts_at.elapsed() >= FACTS_EVERY {
            self.read_facts();
        }
        self.name_functions();
        let mut ending = self.ending();
        ending.notes.extend(self.pipeline.notes());
        self.ledger.accounting = self.pipeline.accounting();
        let begun = Instant::now();
        // Lent: they can be large.
        ending.rule_sets = std::mem::take(&mut self.rules.histories);
        let snapshot = explain::snapshot(&mut self.ledger, &self.session, &ending);
        self.rules.histories = ending.rule_sets;
        tracing::debug!("snapshot built in {:?}", begun.elapsed());
        snapshot
    }

    pub(super) fn end(mut self) -> Result<Done, LiveError> {
        self.tracer.end()?;
        let until_ns = self.tracer.now_ns();
        std::thread::sleep(DRAIN);
        self.poll()?;
        let strangers = self.ledger.strangers();
        if !strangers.is_empty() {
            self.surroundings.meet(&mut self.session.topology, &strangers);
            self.know()?;
        }
        if let Some(writer) = self.writer.as_mut().filter(|_| self.unwritten) {
            writer.session(&self.session)?;
        }
        self.notes.extend(self.tracer.notes());
        self.read_facts();
        let mut ending = self.ending();
        ending.until_ns = until_ns;
        ending.quotas = self.quotas.end(self.surroundings.namespaces());
        self.pipeline.finish(&mut self.ledger);
        self.rules.end(&self.session.hooks, &self.ledger.filtered, self.surroundings.namespaces());
        ending.rule_sets = std::mem::take(&mut self.rules.histories);
        self.name_rules();
        ending.rules = std::mem::take(&mut self.rule_names);
        self.name_functions();
        ending.functions.clone_from(&self.ledger.functions);
        let recorded_bytes = match self.writer.take() {
            Some(writer) => writer.end(&ending)?,
            None => 0,
        };
        ending.notes.extend(self.ledger.notes().into_iter().chain(self.pipeline.notes()));
        self.ledger.accounting = self.pipeline.accounting();
        let snapshot = explain::snapshot(&mut self.ledger, &self.session, &ending);
        Ok(Done {
            snapshot: Some(Arc::new(snapshot)),
            events: self.pipeline.events,
            recorded_bytes,
        })
    }
}
