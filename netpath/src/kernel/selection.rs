//! Which packets the programs take, and from when to when: the maps that user space writes while they
//! run.

use std::{num::NonZeroUsize, os::fd::AsFd as _, ptr::NonNull, time::Instant};

use aya::maps::{Array, Map, MapData};
use netpath_common::{
    control::{Control, SELECT_ALL, SELECT_ASK, SELECT_NONE},
    filter::{FLOW_SLOTS, Program},
    point::{Family, Hook, LOCAL_OUT},
};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::{
    KernelError, Tracer,
    object::{ControlPod, Object, ProgramPod},
};
use crate::{
    clock::Moment,
    hooks::HookKey,
    sample::{Births, By, Lateness, RATE_ALL},
    serving::Source as Served,
    topo::{Place, Topology},
};

/// How long it holds that nobody wants a flow: by then its addresses may be translated otherwise.
const HOLDS: std::time::Duration = std::time::Duration::from_secs(30);

/// What is asked of the programs.
#[derive(Clone, Debug)]
pub struct Selection {
    pub program: Program,
    /// See [`RATE_ALL`].
    pub rate: u32,
    pub by: By,
    /// Count packets that begin, also while all of them are taken.
    pub count: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self { program: Program::ALL, rate: RATE_ALL, by: By::Packet, count: false }
    }
}

impl Selection {
    /// What the programs are told. `births` says whether packets are seen when they leave their
    /// sockets, `open` whether any are taken, `late` when one that was not is taken after all, `everything` that the
    /// table says what is not wanted.
    fn control(&self, births: bool, open: bool, late: Lateness, everything: bool) -> Control {
        let filtered = self.program.len > 0;
        let asks = filtered || self.count || self.rate != RATE_ALL;
        Control {
            select: match (open, asks) {
                (false, _) => SELECT_NONE,
                (true, true) => SELECT_ASK,
                (true, false) => SELECT_ALL,
            },
            filter: filtered.into(),
            rate: self.rate,
            by_flow: u32::from(self.by == By::Flow),
            births: births.into(),
            everything: everything.into(),
            late_ns: late.after_ns,
            late_limit: late.limit,
        }
    }
}

impl Tracer {
    /// Begins to record packets of the topology's devices, and what sockets at its ends send. Only
    /// now: packets that pass while the probes are being attached are none of ours.
    pub fn begin(&mut self, topology: &Topology) -> Result<(), KernelError> {
        self.passed_over_before = self.passed_over();
        self.births = self.sees_births(topology);
        // The table of devices takes a while to fill: nothing begins while it does.
        self.open(false)?;
        self.want(topology)?;
        self.open(true)?;
        self.since = Moment::now();
        Ok(())
    }

    /// Records packets of the devices that the path has come to lead to.
    pub fn follow(&mut self, topology: &Topology) -> Result<(), KernelError> {
        self.births = self.sees_births(topology);
        self.want(topology)?;
        self.open(self.is_open)
    }

    fn want(&mut self, topology: &Topology) -> Result<(), KernelError> {
        let place = |netns, ifindex| Place { netns, ifindex };
        self.everything = topology.everything;
        if topology.everything {
            return self.object.want(topology.left_out.iter().map(|netns| place(*netns, 0)));
        }
        let devices = topology
            .on_path()
            .chain(topology.beside())
            .flat_map(|host| host.devices.keys().map(move |ifindex| place(host.netns, *ifindex)));
        let ends = topology.on_path().filter(|host| !host.forwards);
        self.object.want(devices.chain(ends.map(|host| place(host.netns, 0))))
    }

    /// Says whether packets that begin from now on are recorded.
    fn open(&mut self, open: bool) -> Result<(), KernelError> {
        self.is_open = open;
        let control = self.selection.control(self.births, open, self.late, self.everything);
        self.object
            .map_mut::<Array<_, ControlPod>>("CONTROL")?
            .set(0, ControlPod(control), 0)
            .map_err(|e| KernelError::Object(format!("CONTROL: {e}")))
    }

    /// Records no packet that begins from now on. What is under way is followed to its end, and
    /// what was recorded can still be read.
    pub fn end(&mut self) -> Result<(), KernelError> {
        self.open(false)
    }

    /// Records packets again that begin from now on.
    pub fn go_on(&mut self) -> Result<(), KernelError> {
        self.open(true)
    }

    /// Which packets are recorded, from the next one on.
    pub fn select(&mut self, selection: Selection) -> Result<(), KernelError> {
        let (steps, most) = (selection.program.len, self.options.filter_steps);
        if steps > most {
            let what = format!("a filter of {steps} steps: the programs were loaded for {most}");
            return Err(KernelError::Object(what));
        }
        self.object
            .map_mut::<Array<_, ProgramPod>>("FILTER")?
            .set(0, ProgramPod(selection.program), 0)
            .map_err(|e| KernelError::Object(format!("FILTER: {e}")))?;
        self.selection = selection;
        self.open(self.is_open)
    }

    /// Whether packets are seen when they leave the sockets of the topology's ends.
    fn sees_births(&self, topology: &Topology) -> bool {
        if let Some(Served::By(..)) = self.serving.points.get(&LOCAL_OUT) {
            return true;
        }
        topology.on_path().filter(|host| !host.forwards).all(|host| {
            Family::ALL.iter().all(|family| {
                let (family, hook) = (*family as u8, Hook::Output as u8);
                let key = HookKey { netns: host.netns, family, hook };
                self.plan.points.get(&key).is_some_and(|point| !point.links.is_empty())
            })
        })
    }

    /// When a packet that was not drawn is recorded after all.
    pub fn take_late(&mut self, late: Lateness) -> Result<(), KernelError> {
        self.late = late;
        self.open(self.is_open)
    }

    /// Flows, as [`crate::filter::Filter::unwanted`] names them, whose packets need not be
    /// recorded.
    pub fn leave_out(&mut self, flows: impl Iterator<Item = (u32, u32)>) {
        self.flows.leave_out(flows);
    }

    /// Packets that began so far.
    pub fn births(&self) -> Births {
        self.reader.births()
    }
}

/// The table of flows that nobody wants, mapped.
pub(super) struct Flows {
    /// The kernel gives every value of an array whole words of 8 bytes.
    base: NonNull<u64>,
    since: Instant,
    /// Keeps the map's descriptor open.
    _map: MapData,
}

// SAFETY: the mapping is only written, through volatile writes, from whichever thread owns it.
unsafe impl Send for Flows {}

const BYTES: NonZeroUsize = NonZeroUsize::new(FLOW_SLOTS as usize * size_of::<u64>()).unwrap();

impl Flows {
    pub(super) fn open(object: &mut Object) -> Result<Self, KernelError> {
        let Map::Array(map) = object.take_map("FLOWS")? else {
            return Err(KernelError::Object("FLOWS is not an array".to_owned()));
        };
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let base =
            unsafe { mmap(None, BYTES, protection, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) }
                .map_err(|e| KernelError::system("map the table of flows", e.into()))?;
        Ok(Self { base: base.cast(), since: Instant::now(), _map: map })
    }

    /// Packets of these flows are not to be recorded.
    pub(super) fn leave_out(&mut self, flows: impl Iterator<Item = (u32, u32)>) {
        if self.since.elapsed() > HOLDS {
            self.since = Instant::now();
            for slot in 0..FLOW_SLOTS {
                self.put(slot, 0);
            }
        }
        for (slot, check) in flows {
            self.put(slot, check);
        }
    }

    fn put(&mut self, slot: u32, check: u32) {
        let slot = (slot & (FLOW_SLOTS - 1)) as usize;
        // SAFETY: within the mapping; the programs read it meanwhile, a word at a time.
        unsafe { self.base.as_ptr().add(slot).write_volatile(check.into()) };
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        // SAFETY: our own mapping, not used after this.
        let unmapped = unsafe { munmap(self.base.cast(), BYTES.get()) };
        debug_assert!(unmapped.is_ok());
    }
}
