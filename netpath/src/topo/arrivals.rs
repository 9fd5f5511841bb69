//! Namespaces that come and go while everything is traced.
//!
//! In: what the kernel says of the folders in which namespaces have names, and of the devices in those by which
//! others hang together; a look at all of them every two seconds; questions about places that packets met. Out:
//! [`Arrived`]. All on a thread of its own, which holds no namespace but those hubs: whoever deletes one is not
//! kept waiting.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        eventfd::{EfdFlags, EventFd},
        inotify::{AddWatchFlags, InitFlags, Inotify},
    },
};

use super::{Device, Host, Place, Topology, dump, events::Listener, is_hub};
use crate::{
    inventory::Census,
    netns::{self, Netns},
    priority,
};

/// How often to look at all namespaces, and at what is new as long as it is not complete.
const ALL_EVERY: Duration = Duration::from_secs(2);
const YOUNG_EVERY: Duration = Duration::from_millis(20);
/// For how long a new namespace is looked at again and again.
const YOUNG_FOR: Duration = Duration::from_secs(10);
/// After that, it is told with what it has.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// What has come and gone.
#[derive(Debug, Default)]
pub struct Arrived {
    /// New, or known better now; one without a name has devices alone.
    pub hosts: Vec<Host>,
    pub gone: Vec<u32>,
    /// New, and joined with nothing that was asked for.
    pub left_out: Vec<u32>,
    /// Asked for, and nowhere.
    pub unknown: Vec<Place>,
}

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub struct Arrivals {
    asks: Sender<BTreeSet<Place>>,
    news: Receiver<Arrived>,
    wake: Arc<EventFd>,
}

impl Arrivals {
    /// Starts with what is known; `None` where it can't.
    pub fn start(topology: &Topology, restricted: bool) -> Option<Self> {
        let (asks, asked) = mpsc::channel();
        let (tell, news) = mpsc::channel();
        let wake =
            Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC).ok()?);
        let mut looker = Looker::of(topology, restricted)?;
        let woken = wake.clone();
        let run = move || {
            priority::normal();
            looker.run(&asked, &tell, &woken);
        };
        thread::Builder::new().name("netpath-arrivals".to_owned()).spawn(run).ok()?;
        Some(Self { asks, news, wake })
    }

    /// Asks what stands at these places.
    pub fn ask(&self, places: BTreeSet<Place>) {
        let _ = self.asks.send(places);
        let _ = self.wake.write(1);
    }

    /// What has come since the last time.
    pub fn news(&self) -> impl Iterator<Item = Arrived> {
        self.news.try_iter()
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        // It finds its channel closed.
        self.asks = mpsc::channel().0;
        let _ = self.wake.write(1);
    }
}

/// A namespace that is known.
#[derive(Clone, Debug)]
struct Known {
    path: PathBuf,
    inode: u64,
}

/// One that is new.
#[derive(Debug)]
struct Young {
    cookie: u32,
    name: String,
    since: Instant,
    /// What it had when it was last looked at, where it is joined with what is traced.
    devices: BTreeMap<u32, Device>,
    /// The other ends of these.
    ends: Vec<Host>,
}

/// The other end of a device, at a hub.
struct Peer {
    of: u32,
    hub: u32,
    device: Device,
}

struct Hub {
    cookie: u32,
    netns: Netns,
    listener: Listener,
}

struct Looker {
    inotify: Inotify,
    known: BTreeMap<u32, Known>,
    hubs: Vec<Hub>,
    young: Vec<Young>,
    /// Files that have come, of which nobody knows yet whether they are namespaces.
    files: Vec<(PathBuf, String, Instant)>,
    restricted: bool,
    /// What is asked for, where it is restricted.
    members: BTreeSet<u32>,
    looked: Instant,
    /// New since names were last looked up.
    unnamed: BTreeSet<u32>,
    arrived: Arrived,
}

impl Looker {
    fn of(topology: &Topology, restricted: bool) -> Option<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
        let what = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_TO;
        for dir in netns::folders() {
            // One that is not there yet is looked at with all others.
            let _ = inotify.add_watch(dir, what);
        }
        let inode = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.ino());
        let known = topology.hosts.values().filter_map(|host| {
            let path = host.found.clone()?;
            Some((host.netns, Known { inode: inode(&path), path }))
        });
        let left_out = topology
            .left_out
            .iter()
            .map(|cookie| (*cookie, Known { path: PathBuf::new(), inode: 0 }));
        let mut this = Self {
            inotify,
            known: known.chain(left_out).collect(),
            hubs: Vec::new(),
            young: Vec::new(),
            files: Vec::new(),
            restricted,
            members: topology.hosts.keys().copied().collect(),
            looked: Instant::now().checked_sub(ALL_EVERY)?,
            unnamed: BTreeSet::new(),
            arrived: Arrived::default(),
        };
        for host in topology.hosts.values().filter(|host| host.is_hub()) {
            this.add_hub(host.netns);
        }
        Some(this)
    }

    fn add_hub(&mut self, cookie: u32) {
        let Some(netns) = self.open(cookie) else { return };
        if self.hubs.iter().all(|hub| hub.cookie != cookie)
            && let Ok(listener) = Listener::of(&netns)
        {
            self.hubs.push(Hub { cookie, netns, listener });
        }
    }

    fn open(&self, cookie: u32) -> Option<Netns> {
        let known = self.known.get(&cookie)?;
        let netns = Netns::open(&known.path, Some(String::new())).ok()?;
        (netns.cookie == cookie).then_some(netns)
    }

    fn run(&mut self, asked: &Receiver<BTreeSet<Place>>, tell: &Sender<Arrived>, wake: &EventFd) {
        loop {
            let woken = self.wait(wake);
            let _ = wake.read();
            let mut places = BTreeSet::new();
            loop {
                match asked.try_recv() {
                    Ok(more) => places.extend(more),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
            self.hear();
            let unknown = |place: &Place| !self.known.contains_key(&place.netns);
            if self.looked.elapsed() >= ALL_EVERY || places.iter().any(unknown) {
                self.look_at_all();
            }
            self.look_at_young(woken);
            for place in places {
                self.find(place);
            }
            let arrived = std::mem::take(&mut self.arrived);
            let is_empty = arrived.hosts.is_empty()
                && arrived.gone.is_empty()
                && arrived.left_out.is_empty()
                && arrived.unknown.is_empty();
            if !is_empty && tell.send(arrived).is_err() {
                return;
            }
        }
    }

    /// Waits until something has happened; whether it is among the hubs' devices.
    fn wait(&self, wake: &EventFd) -> bool {
        let mut fds = vec![
            PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN),
            PollFd::new(wake.as_fd(), PollFlags::POLLIN),
        ];
        for hub in &self.hubs {
            // SAFETY: the listener outlives the call.
            let fd = unsafe { BorrowedFd::borrow_raw(hub.listener.as_raw_fd()) };
            fds.push(PollFd::new(fd, PollFlags::POLLIN));
        }
        let busy = !self.young.is_empty() || !self.files.is_empty();
        let most = ALL_EVERY.saturating_sub(self.looked.elapsed());
        let wait = if busy { most.min(YOUNG_EVERY) } else { most };
        let wait = wait.max(Duration::from_millis(1));
        // A signal is as good as the time's end.
        let _ = poll(&mut fds, PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO));
        let heard = fds[2..].iter().any(|fd| fd.any() == Some(true));
        for hub in &self.hubs {
            let _ = hub.listener.heard();
        }
        heard
    }

    /// Takes what has come to the folders, and left them.
    fn hear(&mut self) {
        for event in self.inotify.read_events().unwrap_or_default() {
            let Some(name) = event.name else { continue };
            if event.mask.contains(AddWatchFlags::IN_DELETE) {
                let gone =
                    |known: &Known| known.path.file_name() == Some(&name) && !known.path.exists();
                let gone: Vec<u32> =
                    self.known.iter().filter(|(_, k)| gone(k)).map(|(cookie, _)| *cookie).collect();
                self.files.retain(|(path, ..)| path.file_name() != Some(&name));
                for cookie in gone {
                    self.left(cookie);
                }
            } else {
                for (path, called) in netns::with_name(&name) {
                    self.files.push((path, called, Instant::now()));
                }
            }
        }
        // The file comes first, and becomes a namespace then.
        for (path, name, since) in std::mem::take(&mut self.files) {
            match Netns::open(&path, Some(name.clone())) {
                Ok(netns) => self.came(&netns),
                Err(_) if since.elapsed() < YOUNG_FOR && path.exists() => {
                    self.files.push((path, name, since));
                }
                Err(_) => {}
            }
        }
    }

    fn came(&mut self, netns: &Netns) {
        if self.known.contains_key(&netns.cookie) {
            return;
        }
        let known = Known { path: netns.path.clone(), inode: netns.inode };
        self.known.insert(netns.cookie, known);
        self.unnamed.insert(netns.cookie);
        let name = crate::lab::short_name(&netns.name);
        let (cookie, since) = (netns.cookie, Instant::now());
        let (devices, ends) = (BTreeMap::new(), Vec::new());
        self.young.push(Young { cookie, name, since, devices, ends });
    }

    /// The name by which a namespace was found is gone: who else has it, keeps it.
    fn left(&mut self, cookie: u32) {
        let Some(known) = self.known.get_mut(&cookie) else { return };
        if let Some(path) = netns::holders(known.inode).next() {
            known.path = path;
            return;
        }
        self.known.remove(&cookie);
        self.members.remove(&cookie);
        self.unnamed.remove(&cookie);
        // It was gone before it was complete: packets that met it have its name.
        for young in self.young.extract_if(.., |young| young.cookie == cookie) {
            let devices = young.devices;
            self.arrived.hosts.extend(young.ends);
            self.arrived.hosts.push(Host { devices, ..Host::bare(cookie, young.name) });
        }
        self.hubs.retain(|hub| hub.cookie != cookie);
        self.arrived.gone.push(cookie);
    }

    fn look_at_all(&mut self) {
        self.looked = Instant::now();
        let all = netns::all();
        let there: BTreeSet<u32> = all.iter().map(|netns| netns.cookie).collect();
        let gone: Vec<u32> = self.known.keys().filter(|c| !there.contains(c)).copied().collect();
        for cookie in gone {
            self.left(cookie);
        }
        all.iter().for_each(|netns| self.came(netns));
        if self.unnamed.is_empty() {
            return;
        }
        let census = Census::take();
        let unnamed = std::mem::take(&mut self.unnamed);
        for netns in all.iter().filter(|netns| unnamed.contains(&netns.cookie)) {
            let host = Host::bare(netns.cookie, census.name(netns));
            let owner = census.owner(netns.inode).cloned();
            if self.young.iter_mut().any(|young| {
                let is = young.cookie == netns.cookie;
                if is {
                    young.name.clone_from(&host.name);
                }
                is
            }) {
                // It is named once it is told, and once more with its owner.
                if owner.is_some() {
                    self.unnamed.insert(netns.cookie);
                }
            } else if !self.restricted || self.members.contains(&netns.cookie) {
                self.arrived.hosts.push(Host { owner, ..host });
            }
        }
    }

    /// Looks at what is new: tells those that are complete.
    fn look_at_young(&mut self, devices_came: bool) {
        for mut young in std::mem::take(&mut self.young) {
            let age = young.since.elapsed();
            // Later, only what happens to devices is a reason to look again.
            let late = age > TOLD_AFTER && !self.restricted;
            let look = devices_came || age < 10 * YOUNG_EVERY || late;
            let told = look && self.tell(&mut young, late);
            if !told && self.known.contains_key(&young.cookie) {
                if age < YOUNG_FOR {
                    self.young.push(young);
                } else if self.restricted {
                    self.arrived.left_out.push(young.cookie);
                }
            }
        }
    }

    /// Tells a new namespace, if it is complete: it has devices that lead elsewhere.
    fn tell(&mut self, young: &mut Young, anyway: bool) -> bool {
        let Some(netns) = self.open(young.cookie) else { return false };
        let Some((mut dump, peers)) = self.read(&netns) else { return false };
        drop(netns);
        let joined = !peers.is_empty();
        if self.restricted && !joined {
            return false;
        }
        // Until a device is up, it does not have the queue that packets will meet.
        let is_up = |device: &Device| device.up && device.qdisc != "noop";
        let up = dump.devices.values().any(|device| is_up(device) && device.name != "lo");
        let up = up && peers.iter().all(|peer| is_up(&peer.device));
        let mut ends = Vec::new();
        for Peer { of, hub, device } in peers {
            if let Some(own) = dump.devices.get_mut(&of) {
                own.peer = Some((hub, device.ifindex));
            }
            let mut there = Host::bare(hub, String::new());
            there.devices.insert(device.ifindex, device);
            ends.push(there);
        }
        if !up && !anyway {
            (young.devices, young.ends) = (dump.devices, ends);
            return false;
        }
        self.arrived.hosts.append(&mut ends);
        let becomes_hub = is_hub(dump.forwards, &dump.devices);
        let known = &self.known[&young.cookie];
        self.arrived.hosts.push(Host {
            devices: dump.devices,
            forwards: dump.forwards,
            bridge_nf: dump.bridge_nf,
            found: Some(known.path.clone()),
            beside: true,
            ..Host::bare(young.cookie, young.name.clone())
        });
        self.members.insert(young.cookie);
        if becomes_hub {
            self.add_hub(young.cookie);
        }
        true
    }

    /// A namespace's devices, and the other ends of them at hubs, each with the device that it is the end of.
    fn read(&self, netns: &Netns) -> Option<(dump::Dump, Vec<Peer>)> {
        let hubs: Vec<(u32, &Netns)> =
            self.hubs.iter().map(|hub| (hub.cookie, &hub.netns)).collect();
        apart(|| {
            let dump = dump::dump_each(&[netns]).pop()??;
            let mut peers = Vec::new();
            let below = dump.below.iter().filter(|(_, below)| below.nsid.is_some());
            for (&ifindex, below) in below {
                let veth = dump.devices.get(&ifindex).is_some_and(|d| d.kind == "veth");
                for (cookie, hub) in &hubs {
                    let Some((mut device, back)) = dump::link(hub, below.ifindex) else { continue };
                    let points_back = || {
                        // Others' can have the same index.
                        let back = back.filter(|back| back.ifindex == ifindex)?;
                        let ids = dump::nsids(hub, &[netns]).ok()?;
                        ids.contains_key(&back.nsid?).then_some(())
                    };
                    let is_below = || {
                        let ids = dump::nsids(netns, &[hub]).ok()?;
                        ids.contains_key(&below.nsid?).then_some(())
                    };
                    let is_hub = if veth { points_back() } else { is_below() };
                    if is_hub.is_some() {
                        device.peer = Some((netns.cookie, ifindex)).filter(|_| veth);
                        device.bridge_port = device.master.is_some_and(|master| {
                            dump::link(hub, master).is_some_and(|(device, _)| device.is_bridge())
                        });
                        peers.push(Peer { of: ifindex, hub: *cookie, device });
                        break;
                    }
                }
            }
            Some((dump, peers))
        })
    }

    /// Tells what stands at a place that a packet has met.
    fn find(&mut self, place: Place) {
        let found = self.open(place.netns).and_then(|netns| {
            apart(|| {
                let (mut device, _) = dump::link(&netns, place.ifindex)?;
                device.bridge_port = device.master.is_some_and(|master| {
                    dump::link(&netns, master).is_some_and(|(device, _)| device.is_bridge())
                });
                Some(device)
            })
        });
        let told = self.young.iter().find(|young| young.cookie == place.netns);
        let name = told.map_or_else(String::new, |young| young.name.clone());
        match found {
            Some(device) => {
                let mut there = Host::bare(place.netns, name);
                there.devices.insert(place.ifindex, device);
                (there.beside, there.found) = (true, Some(self.known[&place.netns].path.clone()));
                self.arrived.hosts.push(there);
            }
            None => self.arrived.unknown.push(place),
        }
    }
}

/// Does something on a thread that may enter namespaces.
fn apart<T: Send>(what: impl FnOnce() -> Option<T> + Send) -> Option<T> {
    thread::scope(|scope| scope.spawn(what).join().ok().flatten())
}
