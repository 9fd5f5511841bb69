//! The table of cases: the script, how it is traced, and what is claimed.

use super::{
    check,
    claims::Claims,
    known_wrong,
    play::{folder, play},
    report::Report,
    said::Said,
};

/// Holds a report to what is claimed of it, beside what the script's programs have printed.
type Check = fn(&mut Claims, &Report, &Said);

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) script: &'static str,
    /// The arguments of the trace, where they are not those that the script recommends.
    pub(crate) trace: Option<&'static str>,
    pub(crate) check: Check,
}

macro_rules! cases {
    ($($name:ident: $script:literal $(traced $trace:literal)?, $check:path;)*) => {
        pub(crate) static CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            script: $script,
            trace: [$($trace,)?].first().copied(),
            check: $check,
        }),*];

        $(
            #[test]
            fn $name() {
                let case = CASES.iter().find(|c| c.name == stringify!($name));
                play(case.expect("it is in the table"));
            }
        )*
    };
}

cases! {
    insert_failed: "01-insert-failed.sh", check::nat::insert_failed;
    dns_5s: "02-dns-5s.sh", check::nat::dns_5s;
    stale_udp: "04-stale-udp.sh", check::nat::stale_udp;
    invalid_rst: "05-ct-invalid-rst.sh", check::nat::invalid_rst;
    bridge_nf: "06-bridge-nf.sh", check::bridges::bridge_nf;
    hairpin: "07-hairpin.sh", check::bridges::hairpin;
    routing_loop: "09-routing-loop.sh", check::loss::routing_loop;
    nd_firewalled: "11-nd-firewalled.sh", check::loss::nd_firewalled;
    accept_overflow: "13-accept-overflow.sh", check::loss::accept_overflow;
    paused_reader: "14-paused-reader.sh", check::waits::paused_reader;
    fragments: "15-fragments.sh", check::copies::fragments;
    udp_gso: "17-udp-gso.sh", check::copies::udp_gso;
    clones: "18-clones.sh", check::copies::clones;
    veth_xdp: "19-veth-xdp.sh", check::copies::veth_xdp;
    tc_redirect: "20-tc-redirect.sh", check::bridges::tc_redirect;
    tc_redirect_from_guest: "20-tc-redirect.sh" traced "--netns b20-guest --iface eth0",
        check::bridges::tc_redirect;
    nfqueue: "22-nfqueue.sh", check::waits::nfqueue;
    nagle: "23-nagle.sh", check::waits::nagle;
    cpu_quota: "24-cpu-quota.sh", check::waits::cpu_quota;
    rename_move: "26-rename-move.sh", check::names::rename_move;
    vxlan_moved: "27-vxlan-moved.sh", check::bridges::vxlan_moved;
    long_wait: "29-long-wait.sh", check::waits::long_wait;
    tun_vpn: "31-tun-vpn.sh", check::waits::tun_vpn;
    tun_vpn_outside: "31-tun-vpn.sh" traced "--netns b31-host --iface v0",
        check::waits::tun_vpn_outside;
    napi_thread: "32-napi-thread.sh", check::waits::napi_thread;
    no_drops: "33-no-drops.sh", check::loss::no_drops;
    no_drops_udp: "33-no-drops.sh" traced "--netns b33-host --iface v0 udp",
        check::loss::no_drops_udp;
    user_chain: "35-user-chain.sh", check::loss::user_chain;
    ipvs_reuse: "37-ipvs-reuse.sh", check::modules::ipvs_reuse;
    flowtable: "38-flowtable.sh", check::modules::flowtable;
    ipvlan: "40-ipvlan.sh", check::modules::ipvlan;
}

#[test]
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "they are ours")]
fn every_script_is_in_the_table() {
    let files = std::fs::read_dir(folder()).expect("the scripts are there").flatten();
    for file in files.filter_map(|f| f.file_name().into_string().ok()) {
        // Names are no packets: what is claimed of them needs no trace.
        let elsewhere = file == "28-names.sh";
        let known = elsewhere || CASES.iter().any(|c| c.script == file);
        assert!(known || !file.ends_with(".sh"), "{file} is in no row");
    }
}

#[test]
fn what_is_known_to_be_wrong_is_a_case() {
    for wrong in known_wrong::all() {
        assert!(CASES.iter().any(|c| c.name == wrong.case), "{wrong:?}");
    }
}
