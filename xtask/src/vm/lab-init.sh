#!/usr/bin/busybox sh
# The first process of the lab's guest: brings up its network as the kernel's command line says, and
# carries one end of the lab's traffic for as long as the machine runs.
export PATH=/usr/bin:/usr/lib/busybox
/usr/bin/busybox mount -t proc proc /proc
/usr/bin/busybox --install -s /usr/lib/busybox
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
# Not loaded where they are part of the kernel itself.
for module in virtio_pci virtio_net virtio_console; do
    modprobe $module 2>/dev/null
done

echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range

await() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        if [ $tries -ge 1000 ]; then
            echo "netpath's guest: no $*"
            poweroff -f
        fi
        usleep 10000
    done
}
await test -e /sys/class/net/eth0
# Duplicate address detection would keep the IPv6 address from being used at first.
for conf in all eth0; do
    echo 0 >/proc/sys/net/ipv6/conf/$conf/accept_dad
    echo 0 >/proc/sys/net/ipv6/conf/$conf/router_solicitations
done
ip link set lo up
ip link set eth0 up
for word in $(cat /proc/cmdline); do
    case $word in
    netpath.address=*) ip addr add "${word#*=}" dev eth0 ;;
    netpath.gateway=*) ip route add default via "${word#*=}" ;;
    netpath.address6=*) ip -6 addr add "${word#*=}" dev eth0 ;;
    netpath.gateway6=*) ip -6 route add default via "${word#*=}" ;;
    esac
done

find_port() {
    for port in /sys/class/virtio-ports/*; do
        [ "$(cat "$port/name" 2>/dev/null)" = netpath ] && port=/dev/${port##*/} && return
    done
    return 1
}
await find_port

echo "netpath-guest-is-up, Linux $(uname -r)"
# It ends where an answer could not be given.
while :; do
    netpath lab agent "$port"
    usleep 50000
done
