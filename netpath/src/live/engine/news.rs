//! What changes while tracing: hooks, modules, devices, namespaces, settings. Each is followed, and noted with its
//! time.

use super::{Engine, LATE_EVERY, NOTES_MAX};
use crate::{
    kernel::{KernelError, Refreshed},
    live::{LiveError, budget::Budgeted, settings},
    topo::Place,
    units::time,
};
use std::time::{Duration, Instant};

/// How often a session that changes all the time is written.
const WRITTEN_EVERY: Duration = Duration::from_secs(1);

impl Engine {
    /// Attaches to what has come since the last look, and says what is late now.
    pub(super) fn refresh(&mut self) -> Result<(), LiveError> {
        if !self.budgeted.as_ref().is_none_or(Budgeted::is_listening) {
            return Ok(());
        }
        if let Some(tail) = &mut self.tail
            && self.late_said.elapsed() >= LATE_EVERY
        {
            self.late_said = Instant::now();
            self.tracer.take_late(tail.follow(self.ledger.late.p99_lately()))?;
        }
        if self.refreshes.is_due() {
            self.attach_news()?;
        }
        Ok(())
    }

    /// Attaches where the path has been seen to lead: to neighbours at a bridge.
    pub(super) fn take_in(&mut self) -> Result<(), LiveError> {
        let extent = self.ledger.extent();
        if std::mem::replace(&mut self.extent, extent) == extent {
            return Ok(());
        }
        let met = self.ledger.met_beside();
        let names = self.surroundings.take_in(&mut self.session.topology, &met);
        if names.is_empty() {
            return Ok(());
        }
        tracing::info!("the path leads to {}", names.join(", "));
        let new = self.surroundings.held(&met);
        let news = self.tracer.take_in(&self.session.topology, &new);
        self.attached_news(news)?;
        self.follow();
        if self.session.topology.everything {
            self.ledger.taken_in(&met);
            return self.write_session();
        }
        self.know()
    }

    /// Records packets of the devices that the path has come to lead to.
    pub(super) fn follow(&mut self) {
        if let Err(error) = self.tracer.follow(&self.session.topology) {
            let note = format!("what is new on the path is not traced: {error}");
            tracing::warn!("{note}");
            self.note(note);
        }
    }

    pub(super) fn attach_news(&mut self) -> Result<(), LiveError> {
        let begun = Instant::now();
        let namespaces = self.surroundings.namespaces().map(|(_, netns)| netns);
        let news = self.tracer.refresh(&self.session.topology, namespaces);
        // What attaching takes is no reason to look less often.
        let only_looked = matches!(news, Ok(None));
        self.refreshes.took(if only_looked { begun.elapsed() } else { Duration::ZERO });
        self.attached_news(news)
    }

    /// Tells everybody of what has been attached.
    fn attached_news(
        &mut self,
        news: Result<Option<Refreshed>, KernelError>,
    ) -> Result<(), LiveError> {
        // A namespace can go away while it is looked at; the next look is without it.
        let news = match news {
            Ok(Some(news)) => news,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::debug!("what is new can't be seen: {error}");
                return Ok(());
            }
        };
        for note in news.notes {
            tracing::info!("{note}");
            self.note(note);
        }
        let everywhere = news.only_in.is_none();
        let (plan, serving) = (self.tracer.plan(), self.tracer.serving());
        self.session.refreshed(plan, serving, news.unsure, news.only_in);
        self.ledger.unsure_in.clone_from(&self.session.unsure_in);
        self.write_session()?;
        if everywhere {
            self.pipeline.unsure(news.unsure);
            // Addresses may be others' now.
            self.ledger.names.forget();
        }
        self.ledger.hooks.clone_from(&self.session.hooks);
        Ok(())
    }

    /// Keeps the path true: names, what went away, what has come.
    pub(super) fn look(&mut self) -> Result<(), LiveError> {
        let Self { surroundings, session, ledger, .. } = self;
        let strangers = || ledger.strangers();
        let news = surroundings.look(&mut session.topology, strangers, self.started.elapsed());
        for netns in news.released {
            self.tracer.release(netns);
            self.gone.push((Instant::now(), Place { netns, ifindex: 0 }));
        }
        for note in news.notes {
            tracing::warn!("{note}; tracing goes on");
            self.note(note);
        }
        if news.followed {
            self.attach_news()?;
            self.follow();
        }
        if self.look_at_settings() || news.followed || news.renamed {
            self.know()?;
        }
        Ok(())
    }

    /// Notes which settings have changed; whether the topology has one of them.
    fn look_at_settings(&mut self) -> bool {
        let changes = self.settings.look(self.surroundings.namespaces());
        if changes.is_empty() {
            return false;
        }
        let after = time(self.started.elapsed().as_nanos() as f64);
        let mut in_topology = false;
        for change in changes {
            let topology = &mut self.session.topology;
            let note = format!("{change} in {} after {after}", topology.netns_name(change.netns));
            if change.name == settings::BRIDGE_NF
                && let Some(host) = topology.hosts.get_mut(&change.netns)
            {
                host.bridge_nf = change.to.as_deref() == Some("1");
                in_topology = true;
            }
            tracing::info!("{note}");
            self.note(note);
        }
        in_topology
    }

    /// Keeps a note; of very many, the first ones.
    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        } else {
            self.unkept_notes += 1;
        }
    }

    /// Tells everybody what is known of the path by now.
    pub(super) fn know(&mut self) -> Result<(), LiveError> {
        self.ledger.know(&self.session.topology);
        self.write_session()
    }

    /// Writes what is known to the recording. Where everything is traced it is much, and changes all the time:
    /// then once in a while.
    pub(super) fn write_session(&mut self) -> Result<(), LiveError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        self.unwritten = self.session.topology.everything && self.written.elapsed() < WRITTEN_EVERY;
        if !self.unwritten {
            self.written = Instant::now();
            writer.session(&self.session)?;
        }
        Ok(())
    }
}
