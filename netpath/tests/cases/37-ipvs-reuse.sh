#!/bin/bash
# 37 · IPVS drops the first SYN of a connection that uses a port again · NEEDS ip_vs and ipvsadm
# Source: kubernetes/kubernetes#81775 and #70747, cloudnativelabs/kube-router#544, moby/moby#35082, TencentOS-kernel#17.
# They saw: under load some connects through a service take exactly 1 s: a SYN that meets an old entry (TIME_WAIT) makes IPVS
#   expire it, and with conntrack on, the SYN is dropped on purpose.
# Here: cli connects to the virtual service 10.96.37.1:80 twice from one source port; conn_reuse_mode 1, vs.conntrack 1.
# Run:  netpath trace --netns b37-host --iface v0 --for 8s tcp  and meanwhile: ./37-ipvs-reuse.sh traffic
# Right answer: SYN 2 is dropped at host's INPUT (that is where IPVS sits, as a hook named "other"), not by a rule; 1 s later it
#   passes. IPVS sends on from INPUT: LOCAL_IN → IPVS → POSTROUTING, no FORWARD row; "delivered to host" would be wrong.
B=b37
NETPATH='netpath trace --netns b37-host --iface v0 --for 8s tcp'
. "$(dirname "$0")/lib/lib.sh"
up() {
    needs prog ipvsadm
    modprobe ip_vs 2>/dev/null || :; modprobe ip_vs_rr 2>/dev/null || :
    needs file /proc/net/ip_vs
    lab
    addr host lo 10.96.37.1/32
    sysc host net.ipv4.vs.conntrack=1 net.ipv4.vs.conn_reuse_mode=1 net.ipv4.vs.expire_nodest_conn=1
    in_ host iptables -t nat -A POSTROUTING -o up0 -j MASQUERADE
    in_ host ipvsadm -A -t 10.96.37.1:80 -s rr
    in_ host ipvsadm -a -t 10.96.37.1:80 -r 198.18.37.2:8080 -m
}
traffic() {
    tbg srv tcp-echo 198.18.37.2 8080
    ready srv tcp 8080
    t cli tcp-connect 10.96.37.1 80 --count 1
    t cli tcp-connect 10.96.37.1 80 --count 3 --gap 100 --timeout 3 --from 10.37.0.2:47000
}
main "$@"
