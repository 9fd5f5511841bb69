#!/bin/bash
# 40 · ipvlan: the container's packet takes the host's device without the host's stack (L2, L3), or with its netfilter (L3S)
#   · NEEDS ipvlan
# Source: canonical/lxd#5182 (bypasses the host's routes), moby/moby#21735, m-lab/k8s-support#167 (l3s), cilium/cilium#15025,
#   lyft/cni-ipvlan-vpc-k8s#70.
# They saw: rules and routes of the host don't apply (or, in l3s, do), and the first place at which a packet is seen on the host
#   is the physical device.
# Here: lan – host/eth0 with ipvlan children in pod1 and pod2, modes l2 and l3s in turn; host has a rule that drops UDP 9001.
# Run:  netpath trace --netns b40-pod1 --iface i0 --for 9s      and meanwhile: ./40-ipvlan.sh traffic
# Right answer: l2: pod1/i0 → host/eth0 → lan, no netfilter row; UDP 9001 passes. l3s: OUTPUT/POSTROUTING and INPUT rows *of host* appear
#   on the path, UDP 9001 is dropped there, by that rule, in host (not in pod1). pod1 ↔ pod2 never reach the wire. Both share
#   the parent's MAC address: devices are told apart by namespace and index.
B=b40
NETPATH='netpath trace --netns b40-pod1 --iface i0 --for 9s'
. "$(dirname "$0")/lib/lib.sh"
children() {
    local n
    for n in 1 2; do
        ip -n b40-pod$n link del i0 2>/dev/null || :
        ip -n b40-host link add link eth0 name i0 netns b40-pod$n type ipvlan mode $1
        ip -n b40-pod$n link set i0 up; addr pod$n i0 10.40.0.$((n + 1))/24
    done
}
up() {
    needs link 'veth peer name p1'
    netns lan host pod1 pod2
    veth lan eth0 host eth0
    ip -n b40-host link add link eth0 name iprobe type ipvlan mode l2 2>/dev/null || { say "cannot run on this kernel: no ipvlan" >&2; down; exit 3; }
    ip -n b40-host link del iprobe
    addr lan eth0 10.40.0.9/24; addr host eth0 10.40.0.1/24
    in_ host iptables -A INPUT -p udp --dport 9001 -j DROP; in_ host iptables -A OUTPUT -p udp --dport 9001 -j DROP
    in_ host iptables -t mangle -A POSTROUTING -p udp --dport 9001 -j DROP
    children l2
}
traffic() {
    local m echo echoes
    for m in l2 l3s; do
        children $m
        tbg pod1 udp-echo 10.40.0.2 9000; echoes=$!
        tbg lan udp-echo 10.40.0.9 9001; echoes="$echoes $!"
        ready pod1 udp 9000; ready lan udp 9001
        say "$m, lan to pod1:"; t lan udp-rr 10.40.0.2 9000 --count 20 --gap 10 --timeout 0.5
        say "$m, pod1 to lan, port 9001:"; t pod1 udp-rr 10.40.0.9 9001 --count 3 --gap 10 --timeout 0.3
        for echo in $echoes; do stop $echo; done
    done
}
main "$@"
