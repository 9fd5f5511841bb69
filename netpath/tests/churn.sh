#!/bin/bash
# Containers that come and go while netpath traces everything: churn.sh [SECONDS [NETPATH]]
#
# In a namespace of its own, `npc-host`, stands a bridge; twenty times a second a namespace is made at it, sends two
# echo requests and is deleted. Says how long the kernel takes to delete one, without netpath and with it; netpath's
# memory, descriptors and CPU time meanwhile; and which of them it has not named.
set -eu
seconds=${1:-60}
netpath=${2:-netpath}
dir=$(mktemp -d)
host=npc-host

clean() {
    ip netns list | awk '/^npc-/ {print $1}' | while read -r netns; do ip netns del "$netns"; done
    rm -rf "$dir"
}
trap clean EXIT

ip netns add $host
ip -n $host link set lo up
# Its address is no port's, so that it stays when that one goes.
ip -n $host link add br0 address 02:00:00:00:00:01 up type bridge
ip -n $host address add 172.30.0.1/16 dev br0

container() {
    local n=$1 deleted gone
    ip netns add "npc-$n"
    ip -n $host link add "c$n" type veth peer eth0 netns "npc-$n"
    ip -n $host link set "c$n" up master br0
    ip -n "npc-$n" link set eth0 up
    ip -n "npc-$n" address add "172.30.$((1 + n / 200 % 250)).$((1 + n % 200))/16" dev eth0
    ip netns exec "npc-$n" ping -q -i 0.01 -W 1 -c 2 172.30.0.1 >/dev/null || true
    deleted=$(date +%s%N)
    ip netns del "npc-$n"
    # The host's end goes with the namespace.
    while ip -n $host link show "c$n" >/dev/null 2>&1; do sleep 0.005; done
    gone=$(date +%s%N)
    echo $(((gone - deleted) / 1000000))
}

churn() {
    local until=$(($(date +%s) + $1)) n=$2
    while [ "$(date +%s)" -lt $until ]; do
        container $n >>"$dir/gone" &
        n=$((n + 1))
        sleep 0.04
    done
    wait $(jobs -p | grep -vx "${tracer:-0}")
    sort -n "$dir/gone" | awk '{ms[NR] = $1} END {
        print NR " made, gone after " ms[int(NR / 2)] " ms (p50), " ms[int(NR * 0.99)] " ms (p99)"}'
    rm "$dir/gone"
}

echo "without netpath: $(churn 10 0)"
"$netpath" -v trace --all --netns $host --json >"$dir/report" 2>"$dir/said" &
tracer=$!
until grep -q attached "$dir/said"; do sleep 0.05; done
used() {
    echo "$(awk '/VmRSS/ {print $2}' /proc/$tracer/status) KiB, $(ls /proc/$tracer/fd | wc -l) descriptors," \
        "$(awk '{print ($14 + $15) / 100}' /proc/$tracer/stat) s of CPU time"
}
echo "at the start: $(used)"
done=0
while [ $done -lt "$seconds" ]; do
    part=$((seconds - done < 30 ? seconds - done : 30))
    churn $part $((1000 + done * 30))
    done=$((done + part))
    echo "after $done s: $(used)"
done
sleep 1
kill -INT $tracer
wait $tracer || true
python3 - "$dir/report" <<'PYTHON'
import json, re, sys
report = json.load(open(sys.argv[1]))
paths = report["paths"]
named = {netns for path in paths for netns in re.findall(r"npc-\d+", path["name"])}
unnamed = [path["name"] for path in paths if re.search(r"netns#|/if\d|→ if\d", path["name"])]
pings = sum(t["count"] for t in report["transactions"] if t["kind"] == "ping")
others = sum(path["packets"] for path in paths if path["name"] == "others")
print(f"{pings} pings, {report['packets']['incomplete']} packets incomplete, {others} of others;",
      f"{len(named)} containers have a path, {len(unnamed)} paths are without a name {unnamed[:3]}")
PYTHON
