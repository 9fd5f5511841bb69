//! What a ledger is told of the path while packets are booked: hosts and devices that come and go, and which packets
//! wait for that. Where everything is traced, containers turn up in packets before anybody has looked at them.

use std::collections::BTreeSet;

use netpath_common::place::DevId;
use rustc_hash::FxHashSet;

use super::{Ledger, classify, devices::Devices, ends::Ended};
use crate::{
    flight::Flight,
    topo::{Host, Place, Topology},
};

impl Ledger {
    /// Takes what is known of the path by now.
    pub fn know(&mut self, topology: &Topology) {
        self.topology.clone_from(topology);
        self.devices.follow(topology);
        self.release_held();
    }

    /// Takes what has come of namespaces, and that others have gone, where everything is traced.
    pub fn learn(&mut self, hosts: &[Host], gone: &[u32]) {
        hosts.iter().for_each(|host| self.topology.arrive(host.clone()));
        self.devices.learn(&self.topology, hosts);
        gone.iter().for_each(|netns| self.topology.leave(*netns));
        self.release_held();
    }

    /// Says that these namespaces are on the path now.
    pub fn taken_in(&mut self, taken: &BTreeSet<u32>) {
        let hosts = self.topology.hosts.values_mut();
        hosts.filter(|host| taken.contains(&host.netns)).for_each(|host| host.beside = false);
    }

    /// Books flights whose devices are known by now.
    fn release_held(&mut self) {
        let devices = &self.devices;
        for flight in self.held.known(|flight| unknown(flight, devices).next().is_none()) {
            self.add_known(&flight);
        }
    }

    /// Places that flights are held for, because nothing is known of them; each is told once.
    pub fn take_unknown(&mut self) -> BTreeSet<Place> {
        self.held.take_unknown()
    }

    /// Says that nothing will be known of these places.
    pub fn give_up(&mut self, places: &[Place]) {
        places.iter().for_each(|place| self.devices.give_up(*place));
    }

    /// Devices that what is shown still names.
    pub fn named(&self) -> FxHashSet<Place> {
        let paths = self.paths.iter().flat_map(|path| &path.key.places);
        paths.chain(self.drops.keys().map(|drop| &drop.place)).copied().collect()
    }

    /// Forgets namespaces and devices that are gone, and that nothing names.
    pub fn forget(&mut self, gone: &BTreeSet<u32>, devices: &[Place]) {
        self.topology.forget(gone);
        for place in devices {
            let host = self.topology.hosts.get_mut(&place.netns);
            host.and_then(|host| host.devices.remove(&place.ifindex));
        }
        self.devices.forget(gone, devices);
        self.witness.forget(|place| gone.contains(&place.netns) || devices.contains(place));
        self.again.retain(|netns| !gone.contains(netns));
        self.hooks.points.retain(|key, _| !gone.contains(&key.netns));
    }

    /// Namespaces that packets were met in and that are not known.
    pub fn strangers(&self) -> BTreeSet<u32> {
        let paths = self.paths.iter().flat_map(|path| &path.key.places);
        let met = paths.chain(self.drops.keys().map(|drop| &drop.place)).map(|place| place.netns);
        met.filter(|netns| *netns != 0 && self.topology.host(*netns).is_none()).collect()
    }

    /// How much there is by which places are told: namespaces are met only where this grows.
    pub fn extent(&self) -> (usize, usize) {
        (self.leading + self.again.len(), self.drops.len())
    }

    /// Neighbours of the path that packets were met in which were sent to them, or by them: what is flooded
    /// comes to all of them.
    pub fn met_beside(&self) -> BTreeSet<u32> {
        let paths = self.paths.iter().filter(|path| path.leads_to_one);
        let places = paths.flat_map(|path| &path.key.places);
        let to = |ended: &Ended| Some(ended.example?.before?.dst);
        let to_one = |ended: &Ended| to(ended).is_some_and(|to| !self.ends.is_to_many(to));
        let drops = self.drops.iter().filter(|(_, ended)| to_one(ended));
        let met = places.chain(drops.map(|(key, _)| &key.place)).map(|place| place.netns);
        let met = met.chain(self.again.iter().copied());
        let is_beside = |netns: &u32| self.topology.host(*netns).is_some_and(|host| host.beside);
        met.filter(is_beside).collect()
    }
}

/// Places of a flight of which nothing is known.
pub(super) fn unknown<'a>(
    flight: &'a Flight,
    devices: &'a Devices,
) -> impl Iterator<Item = Place> + 'a {
    let named = flight.marks.iter().filter(|mark| classify::names_device(mark.point));
    let places = named.map(|mark| Place::from(DevId::from_arg(mark.arg)));
    places.filter(|place| place.ifindex != 0 && place.netns != 0 && !devices.knows(*place))
}
