//! The bpf system call, for what aya has no way: programs of type netfilter, tracing programs
//! whose target is in a module, and links of many kprobes at once.

use std::{
    ffi::{CStr, c_char},
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_btf_info, bpf_cmd, bpf_insn, bpf_link_info, bpf_link_type,
    bpf_map_type, bpf_prog_info, bpf_prog_type, perf_event_attr,
};

/// What a program is loaded as.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgramKind {
    pub(super) kind: bpf_prog_type,
    pub(super) attach: bpf_attach_type,
    /// The function's BTF id, for a tracing program.
    pub(super) target: u32,
    /// The BTF that the id is in, where it is a module's.
    pub(super) module: Option<RawFd>,
}

/// Loads a program. Where `log` is given, the verifier writes there.
pub(super) fn load_program(
    name: &str,
    instructions: &[bpf_insn],
    license: &CStr,
    kind: ProgramKind,
    log: Option<&mut Vec<u8>>,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the part of the union that BPF_PROG_LOAD reads.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = kind.kind as u32;
    load.expected_attach_type = kind.attach as u32;
    load.attach_btf_id = kind.target;
    if let Some(fd) = kind.module {
        load.__bindgen_anon_1.attach_btf_obj_fd = u32::try_from(fd).unwrap_or(0);
    }
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = u32::try_from(instructions.len()).unwrap_or(u32::MAX);
    load.license = license.as_ptr() as u64;
    for (to, from) in load.prog_name.iter_mut().zip(name.bytes().take(15)) {
        *to = c_char::from_ne_bytes([from]);
    }
    if let Some(log) = log {
        load.log_level = 1;
        load.log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
        load.log_buf = log.as_mut_ptr() as u64;
    }
    descriptor(bpf_cmd::BPF_PROG_LOAD, &mut attr)
}

/// Attaches a netfilter program to a hook of the calling thread's network namespace.
pub(super) fn link_netfilter(
    program: RawFd,
    nfproto: u8,
    hook: u8,
    priority: i32,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the part of the union that BPF_LINK_CREATE reads.
    unsafe {
        let create = &mut attr.link_create;
        create.__bindgen_anon_1.prog_fd = u32::try_from(program).unwrap_or(u32::MAX);
        create.attach_type = bpf_attach_type::BPF_NETFILTER as u32;
        create.__bindgen_anon_3.netfilter.pf = u32::from(nfproto);
        create.__bindgen_anon_3.netfilter.hooknum = u32::from(hook);
        create.__bindgen_anon_3.netfilter.priority = priority;
    }
    descriptor(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// Attaches a tracing program to the target that it was loaded for.
pub(super) fn link_tracing(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the part of the union that BPF_RAW_TRACEPOINT_OPEN reads.
    let open = unsafe { &mut attr.raw_tracepoint };
    open.prog_fd = u32::try_from(program.as_raw_fd()).unwrap_or(u32::MAX);
    descriptor(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr)
}

/// Attaches a kprobe program to functions by name (`BPF_TRACE_KPROBE_MULTI`, Linux 5.18).
pub(super) fn link_kprobes(
    program: BorrowedFd<'_>,
    functions: &[&CStr],
    on_return: bool,
) -> io::Result<OwnedFd> {
    const BPF_F_KPROBE_MULTI_RETURN: u32 = 1;
    let symbols: Vec<u64> = functions.iter().map(|f| f.as_ptr() as u64).collect();
    let mut attr = zeroed();
    // SAFETY: the part of the union that BPF_LINK_CREATE reads.
    unsafe {
        let create = &mut attr.link_create;
        create.__bindgen_anon_1.prog_fd = u32::try_from(program.as_raw_fd()).unwrap_or(u32::MAX);
        create.attach_type = bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32;
        let multi = &mut create.__bindgen_anon_3.kprobe_multi;
        multi.flags = if on_return { BPF_F_KPROBE_MULTI_RETURN } else { 0 };
        multi.cnt = u32::try_from(symbols.len()).unwrap_or(0);
        multi.syms = symbols.as_ptr() as u64;
    }
    descriptor(bpf_cmd::BPF_LINK_CREATE, &mut attr)
}

/// Attaches a kprobe program to a function through a perf event (Linux 4.17).
pub(super) fn link_kprobe_event(
    program: BorrowedFd<'_>,
    function: &CStr,
    on_return: bool,
) -> io::Result<OwnedFd> {
    const TYPE: &str = "/sys/bus/event_source/devices/kprobe/type";
    let kind = std::fs::read_to_string(TYPE)?;
    let kind = kind.trim().parse().map_err(io::Error::other)?;
    // SAFETY: all-zero is a valid perf_event_attr.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = u32::try_from(size_of::<perf_event_attr>()).unwrap_or(0);
    attr.type_ = kind;
    attr.config = u64::from(on_return);
    attr.__bindgen_anon_3.config1 = function.as_ptr() as u64;
    // SAFETY: `attr` and the name that it points to outlive the call.
    let fd = unsafe {
        let close_on_exec = 8 as libc::c_ulong;
        libc::syscall(libc::SYS_perf_event_open, &raw const attr, -1, 0, -1, close_on_exec)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just returned this descriptor to us.
    let event = unsafe { OwnedFd::from_raw_fd(fd) };
    for (request, argument) in
        [(PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()), (PERF_EVENT_IOC_ENABLE, 0)]
    {
        // SAFETY: requests of a perf event that take an integer.
        if unsafe { libc::ioctl(event.as_raw_fd(), request, argument) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(event)
}

/// `_IOW('$', 8, u32)` and `_IO('$', 0)`.
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;

/// The smallest program there is.
pub(super) fn trivial_program(kind: ProgramKind) -> io::Result<OwnedFd> {
    let instruction = |code: u8| {
        // SAFETY: all-zero is a valid instruction's fields.
        let mut i: bpf_insn = unsafe { std::mem::zeroed() };
        i.code = code;
        i
    };
    // r0 = 0; exit
    let body = [instruction(0xb7), instruction(0x95)];
    load_program("np_try", &body, c"GPL", kind, None)
}

/// The BTF of a module, by its name.
pub(super) fn module_btf(module: &str) -> io::Result<OwnedFd> {
    let mut id = 0;
    loop {
        let mut attr = zeroed();
        // The part of the union that BPF_BTF_GET_NEXT_ID reads and writes.
        attr.__bindgen_anon_6.__bindgen_anon_1.start_id = id;
        call(bpf_cmd::BPF_BTF_GET_NEXT_ID, &mut attr)?;
        // SAFETY: as above.
        id = unsafe { attr.__bindgen_anon_6.next_id };
        let mut attr = zeroed();
        // The part of the union that BPF_BTF_GET_FD_BY_ID reads.
        attr.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
        let Ok(fd) = descriptor(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attr) else { continue };
        if btf_name(&fd)? == module.as_bytes() {
            return Ok(fd);
        }
    }
}

fn btf_name(btf: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut name = [0u8; 64];
    // SAFETY: all-zero is a valid bpf_btf_info.
    let mut info: bpf_btf_info = unsafe { std::mem::zeroed() };
    info.name = name.as_mut_ptr() as u64;
    info.name_len = u32::try_from(name.len()).unwrap_or(0);
    object_info(btf.as_fd(), &mut info)?;
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    Ok(name[..end].to_vec())
}

/// Fills in what the kernel knows of a BTF, a program or a link.
fn object_info<T>(object: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attr = zeroed();
    // The part of the union that BPF_OBJ_GET_INFO_BY_FD reads.
    attr.info.bpf_fd = u32::try_from(object.as_raw_fd()).unwrap_or(u32::MAX);
    attr.info.info = &raw mut *info as u64;
    attr.info.info_len = u32::try_from(size_of::<T>()).unwrap_or(0);
    call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(|_| ())
}

/// How often a program was not run because it was running already on that CPU.
pub(super) fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(program_info(program)?.recursion_misses)
}

/// How many instructions the verifier went through until it knew that a program is safe (Linux 5.16).
pub(super) fn verified_instructions(program: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(program_info(program)?.verified_insns)
}

fn program_info(program: BorrowedFd<'_>) -> io::Result<bpf_prog_info> {
    // SAFETY: all-zero is a valid bpf_prog_info; it asks for none of its arrays.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    object_info(program, &mut info)?;
    Ok(info)
}

/// How often a link of kprobes passed a function over (Linux 6.7 tells it); 0 for other links.
pub(super) fn kprobe_misses(link: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: all-zero is a valid bpf_link_info; it asks for none of its arrays.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    object_info(link, &mut info)?;
    if info.type_ != bpf_link_type::BPF_LINK_TYPE_KPROBE_MULTI as u32 {
        return Ok(0);
    }
    // SAFETY: the part of the union that belongs to this type.
    Ok(unsafe { info.__bindgen_anon_1.kprobe_multi.missed })
}

/// A map of one value that nobody can change any more: a program's read-only data.
pub(super) fn frozen_map(value: &[u8]) -> io::Result<OwnedFd> {
    /// Programs only read it (Linux 5.2).
    const BPF_F_RDONLY_PROG: u32 = 1 << 7;
    let mut attr = zeroed();
    // SAFETY: the part of the union that BPF_MAP_CREATE reads.
    unsafe {
        let create = &mut attr.__bindgen_anon_1;
        create.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
        create.key_size = 4;
        create.value_size = u32::try_from(value.len()).unwrap_or(u32::MAX);
        create.max_entries = 1;
        create.map_flags = BPF_F_RDONLY_PROG;
    }
    let map = descriptor(bpf_cmd::BPF_MAP_CREATE, &mut attr)?;
    let key = 0u32;
    let mut attr = zeroed();
    // SAFETY: the part of the union that BPF_MAP_UPDATE_ELEM reads.
    unsafe {
        let update = &mut attr.__bindgen_anon_2;
        update.map_fd = u32::try_from(map.as_raw_fd()).unwrap_or(u32::MAX);
        update.key = &raw const key as u64;
        update.__bindgen_anon_1.value = value.as_ptr() as u64;
    }
    call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr)?;
    let mut attr = zeroed();
    // The part of the union that BPF_MAP_FREEZE reads.
    attr.__bindgen_anon_2.map_fd = u32::try_from(map.as_raw_fd()).unwrap_or(u32::MAX);
    call(bpf_cmd::BPF_MAP_FREEZE, &mut attr)?;
    Ok(map)
}

fn zeroed() -> bpf_attr {
    // SAFETY: all-zero is a valid bpf_attr.
    unsafe { std::mem::zeroed() }
}

fn descriptor(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let fd = call(command, attr)?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just returned this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is filled for `command`, and what it points to outlives the call.
    let rc = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw mut *attr, size_of::<bpf_attr>())
    };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}
