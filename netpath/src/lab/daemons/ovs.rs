//! Open vSwitch with a database and a daemon of its own: the kernel's datapath where there is one,
//! else the one in user space.

use super::Daemons;

pub(in crate::lab) const OPEN_VSWITCH: Daemons = Daemons {
    name: "Open vSwitch",
    script: SCRIPT,
    arguments: || Ok(Vec::new()),
    programs: &["ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-vswitchd"],
    package: "openvswitch-switch",
    makes: None,
};

/// With segmentation offload, the user-space datapath reads what a packet's headers leave open
/// (checksum, segments) and passes it on; without, it would pass on frames with wrong checksums.
const SCRIPT: &str = r#"
export OVS_RUNDIR=/run/lab OVS_LOGDIR=/run/lab
schema=$(ls /usr/share/openvswitch/vswitch.ovsschema /usr/local/share/openvswitch/vswitch.ovsschema 2>/dev/null | head -n 1)
[ -n "$schema" ] || { echo "no vswitch.ovsschema below /usr/share/openvswitch"; exit 1; }
ovsdb-tool create conf.db "$schema"
ovsdb-server --unixctl=/run/lab/db.ctl --remote=punix:/run/lab/db.sock conf.db >db.log 2>&1 &
v() { ovs-vsctl --timeout=10 --db=unix:/run/lab/db.sock "$@"; }
await v --no-wait init
if [ -e /sys/module/openvswitch ]; then
    type=system; echo "netpath-note Open vSwitch forwards in the kernel's datapath"
else
    type=netdev; v --no-wait set Open_vSwitch . other_config:userspace-tso-enable=true
    echo "netpath-note Open vSwitch forwards in user space (datapath_type=netdev): this kernel has no module openvswitch. It reads a copy of each packet, which netpath can not link to what it sends; the original is dropped (OTHERHOST)"
fi
ovs-vswitchd --unixctl=/run/lab/sw.ctl unix:/run/lab/db.sock >sw.log 2>&1 &
v add-br ovs0 -- set bridge ovs0 datapath_type=$type -- add-port ovs0 veth0 -- add-port ovs0 veth1
for port in veth0 veth1; do
    error=$(v get Interface $port error)
    [ "$error" = '[]' ] || { echo "$port: $error"; exit 1; }
done
"#;
