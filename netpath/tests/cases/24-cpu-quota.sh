#!/bin/bash
# 24 · a reader whose CPU quota is used up
# Source: kubernetes/kubernetes#67577 and #51135, zalando-incubator/kubernetes-on-aws#923, kubernetes-mixin#108.
# They saw: requests of a few ms take 100 ms and more though the node idles: the container's CFS quota stops it until
#   the next period. Every network tool showed a healthy network.
# Here: the server may use 10 ms of CPU in 100 ms, and each request costs it 8 ms. 20 requests, one every 30 ms.
# Run:  netpath trace --netns b24-host --iface v0 --for 8s udp  and meanwhile: ./24-cpu-quota.sh traffic
# Right answer: hops of the network unchanged (µs). Requests wait up to some 60 ms (at most 90) in srv's socket (socket wake-up): the
#   reader has been woken but may not run; that is neither idle-cpu nor ksoftirqd nor "the scheduler is slow", and the
#   server's own share of a round trip is 8 ms or 98 ms, the latter when it was stopped at work. The client's
#   view: 8 to 70 ms. About 1.6 s × 10 % of a CPU is all that this burns.
B=b24
NETPATH='netpath trace --netns b24-host --iface v0 --for 8s udp'
. "$(dirname "$0")/lib/lib.sh"
up() {
    lab
    if [ -d /sys/fs/cgroup/cpu ]; then          # version 1
        CG=/sys/fs/cgroup/cpu/netpath-case-b24; mkdir "$CG"
        echo 100000 >"$CG/cpu.cfs_period_us"; echo 10000 >"$CG/cpu.cfs_quota_us"
    else
        CG=/sys/fs/cgroup/netpath-case-b24; mkdir "$CG"; 
        [ -e "$CG/cpu.max" ] || { rmdir "$CG"; say "cannot run: the groups below /sys/fs/cgroup have no quotas" >&2; exit 3; }
        echo "10000 100000" >"$CG/cpu.max"
    fi
}
extra_down() {
    local d
    for d in /sys/fs/cgroup/cpu/netpath-case-b24 /sys/fs/cgroup/netpath-case-b24; do
        [ -d $d ] || continue
        sleep 0.3; rmdir $d 2>/dev/null || { sleep 1; rmdir $d || :; }
    done
}
traffic() {
    local d=/sys/fs/cgroup/cpu/netpath-case-b24; [ -d $d ] || d=/sys/fs/cgroup/netpath-case-b24
    ip netns exec b24-srv "$PY" -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("198.18.24.2", 9000)); s.settimeout(0.5)
until = time.monotonic() + 60
while time.monotonic() < until:
    try: data, who = s.recvfrom(2000)
    except OSError: continue
    end = time.thread_time() + 0.008
    while time.thread_time() < end: pass
    s.sendto(data, who)' </dev/null &
    local server=$!; remember $server
    ready srv udp 9000; echo $server >$d/cgroup.procs
    t cli udp-rr 198.18.24.2 9000 --count 20 --gap 30 --timeout 1
    grep -h throttled $d/cpu.stat
}
main "$@"
