#!/bin/bash
# 02 · a lookup that takes five seconds
# Source: kubernetes/kubernetes#56903, #62628; Quentin-M/weave-tc#5; ntop/ntopng#2131.
# They saw: a resolver sends A and AAAA at once from one socket, one of the two never gets out, and the lookup
#   takes 5 s, the resolver's own timeout. Captures at the server show only one query.
# Here: the second packet of eight is dropped late in POSTROUTING, where confirm would drop it
#   (newer kernels resolve most of these races themselves). Lookup 0 takes 5 s, lookups 1 and 2 take none.
# Run:  netpath trace --netns b02-host --iface v0 --for 9s      and meanwhile: ./02-dns-5s.sh traffic
# Right answer: 8 queries, 7 replies, 1 drop at host POSTROUTING, named with table b02, chain late and its rule.
#   7 round trips, all below a few ms. The 5 s are the client's timer: no hop, no wait and no "server time" has
#   them, and the repeated query is not taken for the dropped one's answer.
B=b02
NETPATH='netpath trace --netns b02-host --iface v0 --for 9s'
. "$(dirname "$0")/lib/lib.sh"
up() {
    lab
    in_ host nft -f - <<'NFT'
table ip b02 {
    chain pre { type nat hook prerouting priority dstnat; ip daddr 10.96.2.10 udp dport 53 dnat to 198.18.2.2:53; }
    chain late { type filter hook postrouting priority 300; udp dport 53 numgen inc mod 8 == 1 counter drop; }
}
NFT
}
traffic() {
    tbg srv udp-echo 198.18.2.2 53
    ready srv udp 53
    in_ cli "$PY" - <<'PY'
import socket, time
for n in range(3):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    want, t0, tries = {b"A%d" % n, b"AAAA%d" % n}, time.monotonic(), 0
    while want and tries < 4:
        tries += 1
        for q in sorted(want | {b"A%d" % n, b"AAAA%d" % n}):       # as glibc: both again
            s.sendto(q.ljust(40), ("10.96.2.10", 53))
        got, until = set(), time.monotonic() + 5
        while got < {b"A%d" % n, b"AAAA%d" % n} and time.monotonic() < until:
            s.settimeout(max(0.01, until - time.monotonic()))
            try:
                got.add(s.recv(100).strip())
            except socket.timeout:
                break
        want = set() if len(got) == 2 else want
    print(f"lookup {n}: {(time.monotonic()-t0)*1e3:.1f} ms, {tries} tries")
    time.sleep(0.3)
PY
}
main "$@"
