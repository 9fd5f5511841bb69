//! Where everything is traced: namespaces that come and go.
//!
//! In: what [`crate::topo::Arrivals`] has seen, and places that packets met. Out: a topology that knows them, nothing
//! attached to what is gone, and nothing known of it any more once no row needs its name.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::Engine;
use crate::{live::LiveError, topo::Place};

/// For how long what is gone is known: packets that met it may still be on their way here.
const GONE_FOR: Duration = Duration::from_secs(5);
/// How often to forget.
const FORGET_EVERY: Duration = Duration::from_secs(1);

impl Engine {
    /// Takes what has come, and lets go of what has gone.
    pub(super) fn keep_everything(&mut self) -> Result<(), LiveError> {
        if !self.session.topology.everything {
            return Ok(());
        }
        let now = Instant::now();
        let (mut known, mut left_out) = (false, false);
        for arrived in self.surroundings.arrived(self.ledger.take_unknown()) {
            known |= !(arrived.hosts.is_empty() && arrived.unknown.is_empty());
            self.ledger.give_up(&arrived.unknown);
            self.ledger.learn(&arrived.hosts, &arrived.gone);
            for host in arrived.hosts {
                self.session.topology.arrive(host);
            }
            for netns in arrived.gone {
                self.surroundings.release(netns);
                self.tracer.release(netns);
                self.session.topology.leave(netns);
                left_out |= self.session.topology.left_out.contains(&netns);
                self.gone.push((now, Place { netns, ifindex: 0 }));
            }
            left_out |= !arrived.left_out.is_empty();
            self.session.topology.left_out.extend(arrived.left_out);
            self.gone.extend(arrived.unknown.into_iter().map(|place| (now, place)));
        }
        self.gone.extend(self.surroundings.take_gone().into_iter().map(|place| (now, place)));
        if known {
            self.write_session()?;
        }
        if left_out {
            self.follow();
        }
        if self.forgot.elapsed() >= FORGET_EVERY {
            self.forgot = now;
            self.forget();
        }
        Ok(())
    }

    /// Forgets what has been gone for a while and is in no row.
    fn forget(&mut self) {
        let named = self.ledger.named();
        let namespaces: BTreeSet<u32> = named.iter().map(|place| place.netns).collect();
        let mut gone = BTreeSet::new();
        let topology = &mut self.session.topology;
        let mut devices = Vec::new();
        self.gone.retain(|(at, place)| {
            let of_netns = place.ifindex == 0;
            let is_named =
                if of_netns { namespaces.contains(&place.netns) } else { named.contains(place) };
            if at.elapsed() < GONE_FOR || is_named {
                return true;
            }
            let left_out = topology.left_out.contains(&place.netns);
            let host = topology.hosts.get_mut(&place.netns);
            let met_once = host.is_none() && !left_out;
            if of_netns || met_once {
                gone.insert(place.netns);
            } else if let Some(host) = host {
                host.devices.remove(&place.ifindex);
                devices.push(*place);
            }
            false
        });
        if gone.is_empty() && devices.is_empty() {
            return;
        }
        topology.forget(&gone);
        self.ledger.forget(&gone, &devices);
        self.tracer.forget(&gone);
        self.session.hooks.points.retain(|key, _| !gone.contains(&key.netns));
        self.session.facts.netns.retain(|netns, _| !gone.contains(netns));
        self.facts.netns.retain(|netns, _| !gone.contains(netns));
    }
}
