#!/usr/bin/busybox sh
# The guest's first process: mounts what a system has mounted, runs /command, hands back its
# output, its exit status and what it left in /out, and switches the machine off.
export PATH=/usr/sbin:/usr/bin:/usr/lib/busybox HOME=/root LANG=C.UTF-8 TERM=dumb

# Applets, for what is not there as a program. busybox finds itself in /proc.
/usr/bin/busybox mount -t proc proc /proc
/usr/bin/busybox mkdir -p /usr/lib/busybox
/usr/bin/busybox --install -s /usr/lib/busybox

mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
# As systemd does; not every kernel has each.
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
hostname netpath-vm
ip link set lo up

# Nodes whose first opener loads the module.
while read -r module node device; do
    case $node in
    net/*) mkdir -p /dev/net ;;
    vhost*) ;;
    *) continue ;;
    esac
    number=${device#?}
    mknod "/dev/$node" "${device%%[0-9]*}" "${number%:*}" "${number#*:}"
done <"/lib/modules/$(uname -r)/modules.devname"

# The ports' drivers; part of the kernel itself from 7.x on.
/usr/bin/modprobe -q -a virtio_pci virtio_console

# The machine's port with a name; ports come up a moment after the kernel.
port() {
    tries=0
    while [ $tries -lt 500 ]; do
        for port in /sys/class/virtio-ports/*; do
            if [ "$(cat "$port/name" 2>&-)" = "$1" ]; then
                echo "/dev/${port##*/}"
                return
            fi
        done
        tries=$((tries + 1))
        usleep 10000
    done
    echo "no port $1" >/dev/console
    poweroff -f
}

exec 9>"$(port control)"
echo "booted $(uname -r)" >&9

# A port has one opener: the command writes to pipes, which any number may hold or reopen.
mkfifo /run/stdout /run/stderr
cat /run/stdout >"$(port stdout)" 9>&- &
out=$!
cat /run/stderr >"$(port stderr)" 9>&- &
err=$!
cd /root
# Not busybox's shell, which would take its own ip and ping.
/usr/bin/sh /command </dev/null >/run/stdout 2>/run/stderr 9>&-
status=$?
# What it left running in the background may keep the pipes open.
(sleep 2; kill $out $err) 2>/run/killed 9>&- &
wait $out $err

if [ -n "$(ls -A /out)" ]; then
    tar -c -f - -C /out . >"$(port out)"
fi
echo "exit $status" >&9
exec 9>&-
poweroff -f
