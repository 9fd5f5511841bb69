//! Kernel struct fields that the programs read.
//!
//! Rust eBPF has no field relocation (CO-RE), so user space resolves each offset from the running
//! kernel's BTF and hands them over in one read-only global, [`Layout`]. The verifier knows its
//! values, so reads through BTF pointers stay direct loads. No offset is compiled in.

/// Declares [`Layout`] and [`FIELDS`] from one list.
macro_rules! fields {
    ($($name:ident: $of:literal . $path:literal, $bytes:literal $($optional:ident)?;)*) => {
        /// Byte offsets of kernel struct fields, in the order of [`FIELDS`].
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct Layout {
            $(#[doc = concat!("`", $of, ".", $path, "`")] pub $name: u32,)*
        }

        /// Where each value of [`Layout`] comes from. One row per field, in its order.
        pub const FIELDS: &[Field] = &[
            $(Field {
                name: stringify!($name),
                of: $of,
                path: $path,
                bytes: $bytes,
                optional: concat!($(stringify!($optional))?).len() > 0,
            },)*
        ];

        impl Layout {
            /// Builds the layout from offsets in the order of [`FIELDS`].
            pub const fn from_offsets(offsets: &[u32; FIELDS.len()]) -> Self {
                let mut i = 0;
                $(let $name = offsets[i]; i += 1;)*
                let _ = i;
                Self { $($name,)* }
            }

            /// The offsets in the order of [`FIELDS`], as they stand in memory.
            pub const fn offsets(&self) -> [u32; FIELDS.len()] {
                [$(self.$name,)*]
            }
        }
    };
}

/// A struct field: its offset is looked up as `of`.`path` in BTF.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    /// The struct's name.
    pub of: &'static str,
    /// Member names from that struct on, joined by dots; anonymous members are looked through.
    pub path: &'static str,
    /// The size that the programs load, in bytes; 0 where it does not matter. Another size in BTF
    /// is an error.
    pub bytes: u8,
    /// Whether programs can do without it: its struct is in a module that may not be loaded, or not
    /// every kernel has it.
    pub optional: bool,
}

/// The offset of an optional field that is not there.
pub const ABSENT: u32 = u32::MAX;

fields! {
    skb_dev: "sk_buff"."dev", 8;
    skb_len: "sk_buff"."len", 4;
    skb_protocol: "sk_buff"."protocol", 2;
    skb_head: "sk_buff"."head", 8;
    skb_data: "sk_buff"."data", 8;
    skb_tail: "sk_buff"."tail", 4;
    skb_end: "sk_buff"."end", 4;
    skb_mac_header: "sk_buff"."mac_header", 2;
    skb_network_header: "sk_buff"."network_header", 2;
    skb_nfct: "sk_buff"."_nfct", 8;
    shinfo_gso_segs: "skb_shared_info"."gso_segs", 2;
    dev_ifindex: "net_device"."ifindex", 4;
    dev_net: "net_device"."nd_net.net", 8;
    dev_link_ops: "net_device"."rtnl_link_ops", 8;
    net_cookie: "net"."net_cookie", 8;
    softnet_input: "softnet_data"."input_pkt_queue.qlen", 4 optional;
    softnet_process: "softnet_data"."process_queue.qlen", 4 optional;
    softnet_backlog: "softnet_data"."backlog", 0 optional;
    napi_dev: "napi_struct"."dev", 8;
    net_hooks_ipv4: "net"."nf.hooks_ipv4", 40;
    net_hooks_ipv6: "net"."nf.hooks_ipv6", 40;
    hook_entries_num: "nf_hook_entries"."num_hook_entries", 2;
    hook_entries_hooks: "nf_hook_entries"."hooks", 0;
    hook_ops_priority: "nf_hook_ops"."priority", 4;
    state_hook: "nf_hook_state"."hook", 1;
    state_pf: "nf_hook_state"."pf", 1;
    state_in: "nf_hook_state"."in", 8;
    state_out: "nf_hook_state"."out", 8;
    state_net: "nf_hook_state"."net", 8;
    task_nsproxy: "task_struct"."nsproxy", 8;
    nsproxy_net: "nsproxy"."net_ns", 8;
    sock_net: "sock"."__sk_common.skc_net.net", 8;
    sock_port: "sock"."__sk_common.skc_num", 2;
    sock_family: "sock"."__sk_common.skc_family", 2;
    sock_protocol: "sock"."sk_protocol", 2;
    sock_type: "sock"."sk_type", 2;
    sock_receive_queue: "sock"."sk_receive_queue.qlen", 4;
    sock_receive_tail: "sock"."sk_receive_queue.prev", 8;
    flow6_proto: "flowi6"."__fl_common.flowic_proto", 1;
    flow6_saddr: "flowi6"."saddr", 16;
    flow6_daddr: "flowi6"."daddr", 16;
    udp_reader_queue: "udp_sock"."reader_queue.qlen", 4;
    task_comm: "task_struct"."comm", 16;
    task_nvcsw: "task_struct"."nvcsw", 8;
    task_nivcsw: "task_struct"."nivcsw", 8;
    nf_conn_status: "nf_conn"."status", 8 optional;
    pktinfo_skb: "nft_pktinfo"."skb", 8 optional;
    pktinfo_state: "nft_pktinfo"."state", 8 optional;
    qdisc_handle: "Qdisc"."handle", 4;
    qdisc_qlen: "Qdisc"."q.qlen", 4;
    qdisc_lock: "Qdisc"."q.lock", 0;
    qdisc_busylock: "Qdisc"."busylock", 0 optional;
    qdisc_backlog: "Qdisc"."qstats.backlog", 4;
}

impl Layout {
    /// Whether the length of a CPU's backlog can be read.
    pub const fn has_backlog(&self) -> bool {
        self.softnet_input != ABSENT
            && self.softnet_process != ABSENT
            && self.softnet_backlog != ABSENT
    }
}

const _: () = assert!(size_of::<Layout>() == FIELDS.len() * 4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_land_in_the_fields_of_the_same_row() {
        let mut offsets = [0u32; FIELDS.len()];
        for (i, o) in offsets.iter_mut().enumerate() {
            *o = u32::try_from(i).unwrap() + 100;
        }
        let layout = Layout::from_offsets(&offsets);
        assert_eq!(layout.skb_dev, 100);
        assert_eq!(FIELDS[0].name, "skb_dev");
        let last = FIELDS.len() - 1;
        assert_eq!(layout.qdisc_backlog as usize, 100 + last);
        assert_eq!(FIELDS[last].name, "qdisc_backlog");
        assert_eq!(layout.offsets(), offsets);
    }

    #[test]
    fn rows_are_unique() {
        for (i, a) in FIELDS.iter().enumerate() {
            for b in &FIELDS[i + 1..] {
                assert!(a.name != b.name);
                assert!((a.of, a.path) != (b.of, b.path));
            }
        }
    }
}
