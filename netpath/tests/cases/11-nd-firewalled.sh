#!/bin/bash
# 11 · IPv6: a firewall that drops neighbour solicitations
# Source: moby/moby#45460, cloudnativelabs/kube-router#1895, cilium/cilium#16285, antrea-io/antrea#5482.
# They saw: with ip6tables/network policy on, IPv6 between containers failed after a while: neighbour FAILED, and
#   "destination unreachable" after 3 s. To IPv4 eyes nothing had been dropped on the data's path.
# Here: the host drops ICMPv6 135 in INPUT; cli sends UDP requests to srv through it, twice with the rule, then without.
# Run:  netpath trace --netns b11-host --iface v0 --for 9s      and meanwhile: ./11-nd-firewalled.sh traffic
# Right answer: the datagrams never leave cli/eth0: they wait there for the gateway's link address (3 solicitations,
#   3 s) and are dropped in *cli*, reason NEIGH_FAILED, after an address wait of 3 s. The cause is another packet:
#   solicitations dropped in host INPUT by table ip6 b11, chain in. Without the rule: one wait of a few hundred
#   µs at the first packet, then none.
B=b11
NETPATH='netpath trace --netns b11-host --iface v0 --for 9s'
. "$(dirname "$0")/lib/lib.sh"
up() {
    netns cli host srv
    veth host v0 cli eth0; veth host up0 srv eth0
    addr host v0 fd00:11::1/64; addr cli eth0 fd00:11::2/64
    addr host up0 fd00:11:1::1/64; addr srv eth0 fd00:11:1::2/64
    ip -n b11-cli -6 route add default via fd00:11::1
    ip -n b11-srv -6 route add default via fd00:11:1::1
    sysc host net.ipv6.conf.all.forwarding=1
}
traffic() {
    tbg srv udp-echo fd00:11:1::2 9000
    in_ host nft add table ip6 b11
    in_ host nft 'add chain ip6 b11 in { type filter hook input priority 0; }'
    in_ host nft add rule ip6 b11 in icmpv6 type nd-neighbor-solicit counter drop
    ip -n b11-cli neigh flush dev eth0
    ready srv udp 9000
    say "solicitations dropped:"; t cli udp-rr fd00:11:1::2 9000 --count 2 --timeout 3.6 --gap 0 || :
    say "dropped by the rule: $(in_ host nft list chain ip6 b11 in | grep -o 'packets [0-9]*')"
    in_ host nft delete table ip6 b11
    ip -n b11-cli neigh flush dev eth0; ip -n b11-cli neigh del fd00:11::1 dev eth0 2>/dev/null || :
    say "allowed:"; t cli udp-rr fd00:11:1::2 9000 --count 10 --gap 20
}
main "$@"
