//! A guest in QEMU, on a tap of the host's bridge: with KVM where a guest boots with it, else
//! emulated; its packets are moved by vhost-net where the kernel has it, else by QEMU itself.

use super::{Daemons, Makes};
use crate::lab::{LabError, guest::image};

pub(in crate::lab) const GUEST: Daemons = Daemons {
    name: "QEMU",
    script: SCRIPT,
    arguments: || {
        if !cfg!(target_arch = "x86_64") {
            return Err(LabError::Lacks("the lab's guest is for x86-64".to_owned()));
        }
        let image = image::find()?;
        let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        Ok(vec![path(image.kernel), path(image.initramfs)])
    },
    programs: &["qemu-system-x86_64", "ip"],
    package: "qemu-system-x86",
    makes: Some(Makes::Guest("client")),
};

/// The guest's first process says on its console when its network is up.
const SCRIPT: &str = r#"
[ -c /dev/net/tun ] || { echo "no /dev/net/tun: this kernel has no tap"; exit 1; }
ip tuntap add dev tap0 mode tap; ip link set dev tap0 master br0 up
if [ -w /dev/vhost-net ]; then
    vhost=on; mover="vhost-net, in the kernel"
else
    vhost=off; mover="QEMU itself, in user space (there is no /dev/vhost-net)"
fi
address="netpath.address=172.31.0.2/24 netpath.gateway=172.31.0.1"
address="$address netpath.address6=fd31::2/64 netpath.gateway6=fd31::1"
boot() {
    rm -f console.log port; : >console.log
    qemu-system-x86_64 -accel $1 -cpu $2 -machine q35 -smp 1 -m 512M \
        -nodefaults -no-user-config -no-reboot -display none \
        -kernel "$kernel" -initrd "$initramfs" -append "console=ttyS0 panic=-1 quiet $address" \
        -serial file:console.log \
        -device virtio-serial-pci -chardev socket,id=port,path=/run/lab/port,server=on,wait=off \
        -device virtserialport,chardev=port,name=netpath \
        -netdev tap,id=net,ifname=tap0,script=no,downscript=no,vhost=$vhost \
        -device virtio-net-pci,netdev=net,mac=02:00:00:00:00:02 >qemu.log 2>&1 &
    qemu=$!
    n=0
    until grep -q netpath-guest-is-up console.log; do
        n=$((n+1)); [ $n -lt $3 ] && kill -0 $qemu 2>/dev/null || break
        sleep 0.05
    done
    grep -q netpath-guest-is-up console.log || { kill $qemu 2>/dev/null; wait $qemu; return 1; }
}
kernel=$1 initramfs=$2
if [ -w /dev/kvm ] && boot kvm host 160; then
    how="with KVM"
else
    if [ -w /dev/kvm ]; then why="a guest does not boot with this machine's KVM"
    else why="this machine has no KVM (/dev/kvm)"; fi
    boot tcg max 900 || { echo "the guest did not come up"; exit 1; }
    how="emulated: $why"; echo netpath-emulated
fi
version=$(qemu-system-x86_64 --version | head -n 1)
echo "netpath-note the guest runs $how. Its packets are moved by $mover. $version"
echo "netpath-port /run/lab/port"
"#;
