//! Multicast: one sender, and a receiver that has joined.

use super::{MACVLAN, On, Program, Said, VXLAN, unclear};
use crate::conformance::process::command;

const SENT: u64 = 100;
const PYTHON: &str = "/usr/bin/python3";

pub(super) const MULTICAST: Program = Program {
    name: "multicast",
    what: "100 datagrams to a group that the server has joined",
    needs: &[(PYTHON, "python3")],
    on: &[On::v4("linuxbridge").core(), VXLAN, MACVLAN],
    serve: |stage| {
        let script = format!(
            "import socket\n\
             s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
             s.bind(('239.1.1.1', 5000))\n\
             group = socket.inet_aton('239.1.1.1') + socket.inet_aton('{}')\n\
             s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)\n\
             print('joined', flush=True)\n\
             while True: print('read', len(s.recv(2000)), flush=True)\n",
            stage.address()
        );
        let server = stage.topology().server;
        let index = stage.start(server, command(&[PYTHON, "-c", &script]))?;
        stage.says(index, "joined")
    },
    run: |stage| {
        let own = stage.topology().client_v4.unwrap_or_default();
        let script = format!(
            "import socket, time\n\
             s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
             s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('{own}'))\n\
             for i in range({SENT}): s.sendto(b'%100d' % i, ('239.1.1.1', 5000)); time.sleep(0.002)\n"
        );
        stage.run(stage.topology().client, command(&[PYTHON, "-c", &script]))?;
        stage.says(0, &"read 100\n".repeat(usize::try_from(SENT).unwrap_or(0)))?;
        let printed = stage.running(0).printed();
        let read = printed.lines().filter(|line| line.starts_with("read")).count() as u64;
        if read != SENT {
            return Err(unclear("the receiver", &printed));
        }
        Ok(Said { read_at: Some(5000), ..Said::default() })
    },
};
