//! The eBPF object: loading it through aya, its maps, and the programs that are only run.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
};

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray},
    programs::{ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun as _},
    util::nr_cpus,
};
use aya_log::EbpfLogger;
use netpath_common::{
    control::Control,
    filter::Program,
    layout::Layout,
    place::{Bucket, DevId},
    point::{HookList, PEEK_BYTES, POINTS_MAX, Peek},
    softirq::Softirqs,
};

use super::{
    KernelError,
    error::tail,
    globals::Globals,
    options::Options,
    wanted::{Change, Wanted},
};
use crate::{errors::told, topo::Place};

/// The object as `cargo xtask build` made it.
pub(super) static BYTES: &[u8] = aya::include_bytes_aligned!(env!("NETPATH_EBPF_OBJECT"));

/// Lets a shared type be a map's value or a global.
macro_rules! pod {
    ($($name:ident($of:ty)),* $(,)?) => {$(
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(super) struct $name(pub(super) $of);
        // SAFETY: repr(C) integers without padding; any bytes are a value.
        unsafe impl Pod for $name {}
    )*};
}

pod! {
    BucketPod(Bucket),
    DevIdPod(DevId),
    HookListPod(HookList),
    PeekPod(Peek),
    SoftirqsPod(Softirqs),
    ControlPod(Control),
    ProgramPod(Program),
}

/// The loaded object.
pub(super) struct Object {
    pub(super) ebpf: Ebpf,
    /// What the programs read at.
    pub(super) layout: Layout,
    /// Descriptors of all maps, also of those that were taken out; their owners live as long.
    pub(super) map_fds: Vec<(String, RawFd)>,
    /// The devices whose packets the programs take.
    wanted: Wanted,
}

/// Reads what the programs log.
pub(super) type Logger = EbpfLogger<&'static dyn log::Log>;

impl Object {
    pub(super) fn load(layout: Layout, options: &Options) -> Result<Self, KernelError> {
        let cpus = nr_cpus().map_err(|(what, e)| KernelError::system(what, e))?;
        let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
        let globals = Globals::new(&layout, options);
        let mut loader = EbpfLoader::new();
        for (name, bytes) in globals.iter() {
            loader.override_global(name, bytes, true);
        }
        loader
            .map_max_entries("CPUS", cpus)
            .map_max_entries("STACKS", cpus)
            .map_max_entries("SENDERS", cpus)
            .map_max_entries("SOFTIRQS", cpus)
            .map_max_entries("RING", options.ring_bytes);
        let ebpf = loader.load(BYTES).map_err(|e| KernelError::Object(told(&e)))?;
        let map_fds =
            ebpf.maps().filter_map(|(name, map)| Some((name.to_owned(), map_fd(map)?))).collect();
        Ok(Self { ebpf, layout, map_fds, wanted: Wanted::default() })
    }

    /// Makes packets of these devices the wanted ones, and no others. Index 0 stands for what a
    /// namespace's own sockets send.
    pub(super) fn want(
        &mut self,
        devices: impl IntoIterator<Item = Place>,
    ) -> Result<(), KernelError> {
        let failed = |name: &'static str| {
            move |e: MapError| KernelError::Object(format!("{name}, the devices of the path: {e}"))
        };
        let now = Wanted::of(devices.into_iter().map(DevId::from));
        let Change { more: come, less: gone, buckets: changed } = self.wanted.until(&now);
        // A device that stays can be looked up all the time: it comes to its new place before it leaves the old.
        let mut more: HashMap<_, DevIdPod, u32> = self.map_mut("WANTED_MORE")?;
        for dev in come {
            more.insert(DevIdPod(dev), 1, 0).map_err(failed("WANTED_MORE"))?;
        }
        let mut buckets: Array<_, BucketPod> = self.map_mut("WANTED")?;
        for (at, bucket) in changed {
            buckets.set(at, BucketPod(bucket), 0).map_err(failed("WANTED"))?;
        }
        let mut more: HashMap<_, DevIdPod, u32> = self.map_mut("WANTED_MORE")?;
        for dev in gone {
            more.remove(&DevIdPod(dev)).map_err(failed("WANTED_MORE"))?;
        }
        self.wanted = now;
        Ok(())
    }

    pub(super) fn map_mut<'a, T>(&'a mut self, name: &str) -> Result<T, KernelError>
    where
        T: TryFrom<&'a mut Map, Error = aya::maps::MapError>,
    {
        let map = self
            .ebpf
            .map_mut(name)
            .ok_or_else(|| KernelError::Object(format!("the object has no map {name}")))?;
        T::try_from(map).map_err(|e| KernelError::Object(format!("{name}: {e}")))
    }

    pub(super) fn take_map(&mut self, name: &str) -> Result<Map, KernelError> {
        self.ebpf
            .take_map(name)
            .ok_or_else(|| KernelError::Object(format!("the object has no map {name}")))
    }

    /// Reads kernel memory; `None` where it can't be read.
    pub(super) fn peek(&mut self, address: u64) -> Option<[u8; PEEK_BYTES]> {
        let ask = PeekPod(Peek { address, bytes: [0; PEEK_BYTES] });
        self.map_mut::<Array<_, PeekPod>>("PEEK").ok()?.set(0, ask, 0).ok()?;
        let program = self.runnable("peek_memory").ok()?;
        let ran = program.test_run(RawTracePointRunOptions::new()).ok()?;
        if ran.return_value != 0 {
            return None;
        }
        let map: Array<_, PeekPod> = self.map_mut("PEEK").ok()?;
        map.get(&0, 0).ok().map(|answer| answer.0.bytes)
    }

    /// The raw tracepoint program that is never attached, only run.
    pub(super) fn runnable(&mut self, name: &str) -> Result<&mut RawTracePoint, KernelError> {
        let program: &mut RawTracePoint = self
            .ebpf
            .program_mut(name)
            .ok_or_else(|| KernelError::Object(format!("the object has no program {name}")))?
            .try_into()
            .map_err(|e: ProgramError| KernelError::Object(e.to_string()))?;
        if program.fd().is_err() {
            program.load().map_err(|e| refused(name, &e))?;
        }
        Ok(program)
    }

    pub(super) fn lost(&self) -> BTreeMap<u16, u64> {
        let mut lost = BTreeMap::new();
        let Some(map) = self.ebpf.map("LOST") else { return lost };
        let Ok(map) = PerCpuArray::<&MapData, u64>::try_from(map) else { return lost };
        for point in 0..u16::try_from(POINTS_MAX).unwrap_or(u16::MAX) {
            let sum = map.get(&u32::from(point), 0).map_or(0, |cpus| cpus.iter().sum());
            if sum > 0 {
                lost.insert(point, sum);
            }
        }
        lost
    }

    pub(super) fn logger(&mut self) -> Option<Logger> {
        EbpfLogger::init(&mut self.ebpf)
            .inspect_err(|error| tracing::warn!("the programs' log can't be read: {error}"))
            .ok()
    }
}

fn map_fd(map: &Map) -> Option<RawFd> {
    let (Map::Array(data) | Map::HashMap(data) | Map::PerCpuArray(data) | Map::RingBuf(data)) = map
    else {
        return None;
    };
    Some(data.fd().as_fd().as_raw_fd())
}

/// Says why a program was refused; the verifier's log where there is one.
fn refused(program: &str, error: &ProgramError) -> KernelError {
    let program = program.to_owned();
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = tail(&verifier_log.to_string());
            if log.is_empty() {
                KernelError::system(format!("load {program}"), copy(io_error))
            } else {
                KernelError::Verifier { program, log }
            }
        }
        other => KernelError::Object(format!("{program}: {}", told(other))),
    }
}

fn copy(error: &std::io::Error) -> std::io::Error {
    error.raw_os_error().map_or_else(
        || std::io::Error::new(error.kind(), error.to_string()),
        std::io::Error::from_raw_os_error,
    )
}
