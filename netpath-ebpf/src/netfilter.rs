//! Netfilter links, and readers of what stands in kernel memory: a namespace's registered hooks,
//! rules' names.

use aya_ebpf::{helpers::generated::bpf_get_current_task, macros::map, maps::Array};
use netpath_common::{
    place::DevId,
    point::{
        CT_UNREPLIED, Family, HOOK_ENTRIES, HOOK_LISTS, HOOK_SLOT, Hook, HookAux, HookEntry,
        HookList, IP_CT_NEW, IPS_CONFIRMED, PEEK_BYTES, Peek,
    },
};

use crate::{
    recorder::{self, Known, record},
    skb::{Look, Network, Ptr, netns_of, offset, peek},
};

pub(crate) const NF_ACCEPT: i32 = 1;

const NFPROTO_IPV6: u8 = 10;

/// A hook as an event's `aux`, and the device that it is about.
#[inline(always)]
pub(crate) fn hook_of(state: Ptr, skb: Ptr, slot: u8) -> (u16, DevId) {
    let hook = state.load::<u8>(offset!(state_hook));
    let family = u8::from(state.load::<u8>(offset!(state_pf)) == NFPROTO_IPV6);
    let ct = skb.load::<u64>(offset!(skb_nfct));
    let ctinfo = match (ct & 7) as u8 {
        _ if ct == 0 => None,
        // Conntrack's own hooks; what they have said holds for the later ones.
        IP_CT_NEW
            if (hook == Hook::Prerouting as u8 || hook == Hook::Output as u8)
                && is_confirmed(ct & !7) =>
        {
            Some(CT_UNREPLIED)
        }
        ctinfo => Some(ctinfo),
    };
    let aux = HookAux { slot, hook, family, ctinfo }.pack();
    let netns = netns_of(state.follow(offset!(state_net)));
    let inward = hook == Hook::Prerouting as u8 || hook == Hook::Input as u8;
    let dev = state.follow(if inward { offset!(state_in) } else { offset!(state_out) });
    (aux, DevId { netns, ifindex: dev.load::<u32>(offset!(dev_ifindex)) })
}

/// Whether a `struct nf_conn` is in the table: until its first packet has passed all hooks, it isn't.
#[inline(always)]
fn is_confirmed(ct: u64) -> bool {
    pointer(ct + offset!(nf_conn_status) as u64).is_some_and(|status| status & IPS_CONFIRMED != 0)
}

/// A link's program: the context is `struct bpf_nf_ctx { state, skb }`.
#[inline(always)]
pub(crate) fn slot<const SLOT: u8>(ctx: *const u64) {
    // SAFETY: the context holds two pointers.
    let (state, skb) = unsafe { (Ptr::typed(ctx.read()), Ptr::typed(ctx.add(1).read())) };
    let here = if SLOT == 0 { recorder::enter_birth(skb) } else { recorder::enter(skb, HOOK_SLOT) };
    let Some(here) = here else { return };
    let (aux, dev) = hook_of(state, skb, SLOT);
    if SLOT != 0 {
        // The first link has seen it.
        record(here, skb, HOOK_SLOT, Known::Followed, aux, dev.to_arg());
        return;
    }
    let hook = HookAux::unpack(aux);
    let known = if hook.hook == Hook::Output as u8 {
        Known::Born(dev, Look { network: Network::Header, again: false })
    } else {
        if !here.goes_on(skb, HOOK_SLOT) {
            return;
        }
        // Delivered here: what DNAT made of it is not looked at later.
        // And a fragment may have become the whole packet.
        let again =
            hook.hook == Hook::Input as u8 && (hook.ctinfo.is_some() || here.was_fragment());
        Known::ByDevice(dev, Look { network: Network::Header, again })
    };
    // Once, whichever it is: as a branch each, the verifier would go through it twice.
    record(here, skb, HOOK_SLOT, known, aux, dev.to_arg());
}

/// What [`netns_hooks`] found, family first.
#[map]
static HOOKS: Array<HookList> = Array::with_max_entries(HOOK_LISTS as u32, 0);

const HOOKS_EACH: u32 = Hook::ALL.len() as u32;

#[inline(always)]
fn pointer(address: u64) -> Option<u64> {
    peek::<8>(address).map(u64::from_ne_bytes)
}

/// Reads the hooks registered in the calling thread's network namespace into [`HOOKS`].
/// Run by user space through `BPF_PROG_TEST_RUN`.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
pub(crate) extern "C" fn netns_hooks(_ctx: *const u64) -> i32 {
    // SAFETY: no arguments.
    let task = unsafe { bpf_get_current_task() };
    read_hooks(task).map_or(1, |()| 0)
}

#[inline(always)]
fn read_hooks(task: u64) -> Option<()> {
    let nsproxy = pointer(task + offset!(task_nsproxy) as u64)?;
    let net = pointer(nsproxy + offset!(nsproxy_net) as u64)?;
    read_family(net + offset!(net_hooks_ipv4) as u64, Family::V4)?;
    read_family(net + offset!(net_hooks_ipv6) as u64, Family::V6)
}

/// Reads one family's array of `struct nf_hook_entries *`.
#[inline(always)]
fn read_family(array: u64, family: Family) -> Option<()> {
    let first = family as u32 * HOOKS_EACH;
    let mut hook = 0;
    while hook < HOOKS_EACH {
        let list = HOOKS.get_ptr_mut(first + hook)?;
        let entries = pointer(array + u64::from(hook) * 8)?;
        read_list(list, entries);
        hook += 1;
    }
    Some(())
}

/// Reads `struct nf_hook_entries`: a count, that many `{ hook, priv }`, then that many
/// `struct nf_hook_ops *`.
#[inline(always)]
fn read_list(list: *mut HookList, entries: u64) {
    // SAFETY: `list` is a map value, and i < HOOK_ENTRIES.
    unsafe {
        (*list).count = 0;
        if entries == 0 {
            return;
        }
        let Some(count) = peek::<2>(entries + offset!(hook_entries_num) as u64) else { return };
        let count = u32::from(u16::from_ne_bytes(count));
        let hooks = entries + offset!(hook_entries_hooks) as u64;
        let ops = hooks + u64::from(count) * 16;
        let mut i = 0;
        while i < HOOK_ENTRIES as u64 {
            if i >= u64::from(count) {
                break;
            }
            let function = pointer(hooks + i * 16).unwrap_or(0);
            let op = pointer(ops + i * 8).unwrap_or(0);
            let priority =
                peek::<4>(op + offset!(hook_ops_priority) as u64).map_or(0, i32::from_ne_bytes);
            let entry = (&raw mut (*list).entries).cast::<HookEntry>().add(i as usize);
            entry.write(HookEntry { function, priority, reserved: 0 });
            i += 1;
        }
        (*list).count = count;
    }
}

/// What [`peek_memory`] is asked, and answers.
#[map]
static PEEK: Array<Peek> = Array::with_max_entries(1, 0);

/// Reads kernel memory at the address in [`PEEK`], up to where it can be read. Run by user space
/// through `BPF_PROG_TEST_RUN`.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
pub(crate) extern "C" fn peek_memory(_ctx: *const u64) -> i32 {
    let Some(asked) = PEEK.get_ptr_mut(0) else { return 1 };
    // SAFETY: a map value that user space leaves alone while it waits for this program.
    let read = unsafe { peek::<PEEK_BYTES>((*asked).address) };
    let Some(bytes) = read else { return 1 };
    // SAFETY: as above.
    unsafe { (*asked).bytes = bytes };
    0
}
