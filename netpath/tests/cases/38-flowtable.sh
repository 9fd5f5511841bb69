#!/bin/bash
# 38 · flow offload: established packets bypass netfilter and routing · NEEDS nf_flow_table, nft_flow_offload
# Source: openwrt/openwrt#9854, #24038 and #17915 (offloaded connections and conntrack's timeouts), ubicloud/ubicloud#1009,
#   metal-stack/firewall-controller#15 (no counters any more).
# They saw: after the first packets of a connection no counter, no rule and no conntrack update is seen; long-lived ones end.
# Here: host puts TCP and UDP of cli and srv into a flowtable on v0 and up0. 50 round trips.
# Run:  netpath trace --netns b38-host --iface v0 --for 6s      and meanwhile: ./38-flowtable.sh traffic
# Right answer: two paths: the first packets with conntrack, routing, rules FORWARD; the others v0 → (flowtable at ingress) → up0
#   without them, faster. The latter are complete, not "vanished after v0"; with NAT on, translated all the same (seen by
#   their addresses, no nat row). Sum of both is all packets.
B=b38
NETPATH='netpath trace --netns b38-host --iface v0 --for 6s'
. "$(dirname "$0")/lib/lib.sh"
up() {
    modprobe nft_flow_offload 2>/dev/null || :; modprobe nf_flow_table_inet 2>/dev/null || :
    needs nft 'table inet x { flowtable f { hook ingress priority 0; devices = { "lo" }; }
    chain c { type filter hook forward priority 0; meta l4proto tcp flow add @f; }; }'
    netns cli host srv
    veth host v0 cli eth0; veth host up0 srv eth0
    addr host v0 10.38.0.1/24; addr cli eth0 10.38.0.2/24; addr host up0 198.18.38.1/24; addr srv eth0 198.18.38.2/24
    route cli default via 10.38.0.1; route srv default via 198.18.38.1
    sysc host net.ipv4.ip_forward=1
    in_ host nft -f - <<'NFT'
table inet b38 {
    flowtable ft { hook ingress priority 0; devices = { "v0", "up0" }; }
    chain fw { type filter hook forward priority 0; meta l4proto { tcp, udp } flow add @ft; counter; }
    chain post { type nat hook postrouting priority srcnat; oifname "up0" masquerade; }
}
NFT
}
traffic() {
    tbg srv udp-echo 198.18.38.2 9000; tbg srv tcp-echo 198.18.38.2 9000
    ready srv udp 9000; ready srv tcp 9000
    t cli udp-rr 198.18.38.2 9000 --count 50 --gap 10
    t cli tcp-rr 198.18.38.2 9000 --count 50 --gap 10
    in_ host nft list chain inet b38 fw | grep counter
}
main "$@"
