# Sourced by every script. B is the case's prefix (b01); namespaces are B-name.
#   NN-x.sh            up, say what to run, wait WAIT seconds (default 0), send the traffic
#   NN-x.sh up         set up only           NN-x.sh traffic [ARG]   send it (again)
#   NN-x.sh down       end what was started, remove everything
set -eEu
LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RUN=/run/netpath-case-$B
PY=/usr/bin/python3; [ -x "$PY" ] || PY=$(command -v python3)
[ "$(id -u)" = 0 ] || { echo "run as root" >&2; exit 4; }

# How many times as long something is given that can't be awaited: netpath follows what happens on an emulated machine
# after seconds.
PACE=${NETPATH_EMULATED:+3}; PACE=${PACE:-1}

in_() { local n=$1; shift; ip netns exec "$B-$n" "$@"; }          # a command in a namespace
t()   { local n=$1; shift; in_ "$n" "$PY" "$LIB/t.py" "$@"; }      # a traffic helper in a namespace
bg()  { # bg NS COMMAND…: in the background, remembered for down
    local n=$1; shift
    mkdir -p "$RUN"
    ip netns exec "$B-$n" "$@" >"$RUN/$n.$$.$RANDOM.log" 2>&1 </dev/null &
    remember $!
}
tbg() { local n=$1; shift; bg "$n" "$PY" "$LIB/t.py" "$@"; }
within() { # within SECONDS COMMAND…: until it succeeds
    local until=$((SECONDS + $1)); shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -le $until ] || { say "in vain: $*" >&2; return 1; }
        sleep 0.02
    done
}
has_socket() { in_ "$1" ss -Hln"${2:0:1}" "sport = :$3" | grep -q .; }
ready() { within 20 has_socket "$@"; }                            # ready NS udp|tcp PORT: a server is there
has_sniffer() { in_ "$1" ss -H0 | grep -q .; }
stop() { kill "$1" 2>/dev/null || :; wait "$1" 2>/dev/null || :; } # stop PID: and wait for its end
remember() { mkdir -p "$RUN"; echo "$1 $(awk '{print $22}' "/proc/$1/stat" 2>/dev/null || echo 0)" >>"$RUN/pids"; }
netns() { # netns NAME…
    local n
    for n; do
        ip netns add "$B-$n"
        ip -n "$B-$n" link set lo up
    done
}
veth() { # veth NS1 IF1 NS2 IF2: both ends made inside their namespaces, and up
    ip -n "$B-$1" link add "$2" type veth peer name "$4" netns "$B-$3"
    ip -n "$B-$1" link set "$2" up
    ip -n "$B-$3" link set "$4" up
}
addr() { # addr NS IF ADDR/LEN…
    local n=$1 i=$2 a; shift 2
    for a; do
        case $a in *:*) ip -n "$B-$n" addr add "$a" dev "$i" nodad ;; *) ip -n "$B-$n" addr add "$a" dev "$i" ;; esac
    done
}
route() { local n=$1; shift; ip -n "$B-$n" route add "$@"; }
sysc() { local n=$1 s; shift; for s; do in_ "$n" sysctl -qw "$s"; done; }
mac() { ip -n "$B-$1" -j link show "$2" | "$PY" -c 'import json,sys; print(json.load(sys.stdin)[0]["address"])'; }
say() { printf '%s: %s\n' "$B" "$*"; }
extra_down() { :; }
down() {
    local pid start
    if [ -f "$RUN/pids" ]; then
        while read -r pid start; do # by id, and only while it is still the process that we started
            [ "$(awk '{print $22}' "/proc/$pid/stat" 2>/dev/null)" = "$start" ] || continue
            kill -CONT "$pid" 2>/dev/null || :
            kill "$pid" 2>/dev/null || :
        done <"$RUN/pids"
    fi
    extra_down
    local n
    for n in $(ip netns list | awk '{print $1}' | grep "^$B-" || :); do ip netns del "$n"; done
    rm -rf "$RUN"
}
needs() { # needs KIND NAME: kind of link, qdisc …; says why it can't run here, status 3
    local probe=$B-probe rc=0 err
    ip netns add "$probe"
    case $1 in
    link) err=$(ip -n "$probe" link add p0 type ${2} 2>&1) || rc=1 ;;
    qdisc) err=$(tc -n "$probe" qdisc add dev lo root ${2} 2>&1) || rc=1 ;;
    file) [ -e "$2" ] || { rc=1; err="no $2"; } ;;
    prog) command -v "$2" >/dev/null || { rc=1; err="no program $2"; } ;;
    nft) err=$(echo "$2" | ip netns exec "$probe" nft -c -f - 2>&1) || rc=1 ;;
    esac
    ip netns del "$probe"
    [ $rc = 0 ] || { say "cannot run on this kernel: $1 $2: $(echo "$err" | head -1)" >&2; exit 3; }
}
main() {
    case ${1:-all} in
    up) down; mkdir -p "$RUN"; trap 'down' ERR; up; trap - ERR; say "up; now: $NETPATH" ;;
    traffic) shift; mkdir -p "$RUN"; rm -f "$RUN"/*.log; traffic "$@" ;;
    down) down ;;
    all) down; mkdir -p "$RUN"; trap 'down' ERR; up; trap - ERR; say "up; now: $NETPATH"
         [ "${WAIT:-0}" = 0 ] || sleep "$WAIT"; traffic; say "done; remove with: $0 down" ;;
    *) echo "usage: $0 [up|traffic|down]" >&2; exit 2 ;;
    esac
}

# cli/eth0 — host/v0 — br0 — host/up0 — srv/eth0: a container behind a bridge, a host that routes, and
# somebody outside. NN is the case's number: 10.NN.0.0/24 inside, 198.18.NN.0/24 outside.
NN=$((10#${B#b}))
lab() {
    netns cli host srv
    veth host v0 cli eth0
    veth host up0 srv eth0
    ip -n "$B-host" link add br0 type bridge
    ip -n "$B-host" link set v0 master br0
    ip -n "$B-host" link set br0 up
    addr host br0 "10.$NN.0.1/24"
    addr cli eth0 "10.$NN.0.2/24"
    addr host up0 "198.18.$NN.1/24"
    addr srv eth0 "198.18.$NN.2/24"
    route cli default via "10.$NN.0.1"
    route srv default via "198.18.$NN.1"
    sysc host net.ipv4.ip_forward=1
}
