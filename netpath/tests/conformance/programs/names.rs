//! DNS: dnsmasq, asked by dig, and by the C library's resolver, which asks for both families at once.

use super::{Clock, EVERYWHERE_CORE, EVERYWHERE_LATER, Program, Said, unclear};
use crate::conformance::{
    process::command,
    report::Kind,
    stage::{Port, Stage, StageError},
};

const NAME: &str = "name.example.test";

pub(super) const DIG: Program = Program {
    name: "dig-dnsmasq",
    what: "dig, 50 times, to dnsmasq",
    needs: &[("dnsmasq", "dnsmasq-base"), ("dig", "bind9-dnsutils")],
    on: EVERYWHERE_LATER,
    serve: dnsmasq,
    run: |stage| {
        let (client, server) = (stage.topology().client, stage.topology().server);
        let (address, own) = (stage.address(), stage.loopback());
        let mean_ns = dig(stage, client, &address)?;
        // Nothing of this is traced: it leaves no namespace.
        let clock = Clock { ends_ns: dig(stage, server, own)?, ..Clock::read(mean_ns) };
        Ok(Said::default().and(Kind::Request, 50, Some(clock)))
    },
};

/// What dig says of 50 questions from this namespace to this address, ns in the mean.
fn dig(stage: &mut Stage, netns: &str, address: &str) -> Result<f64, StageError> {
    let script =
        format!("for i in $(seq 50); do dig -u +tries=1 @{address} {NAME} A || exit 1; done");
    let printed = stage.run(netns, command(&["sh", "-c", &script]))?;
    // ;; Query time: 212 usec
    let times: Vec<f64> = printed
        .lines()
        .filter_map(|line| {
            line.strip_prefix(";; Query time: ")?.strip_suffix(" usec")?.parse().ok()
        })
        .collect();
    if times.len() != 50 {
        return Err(unclear("dig", &printed));
    }
    Ok(times.iter().sum::<f64>() / times.len() as f64 * 1e3)
}

pub(super) const RESOLVER: Program = Program {
    name: "resolver-dnsmasq",
    what: "the C library's resolver, 20 names: A and AAAA at once from one socket, to dnsmasq",
    needs: &[("dnsmasq", "dnsmasq-base"), ("getent", "libc-bin"), ("unshare", "util-linux")],
    on: EVERYWHERE_CORE,
    serve: dnsmasq,
    run: |stage| {
        let dir = stage.dir().display().to_string();
        let write = |file: &str, text: &str| {
            std::fs::write(format!("{dir}/{file}"), text).map_err(|e| StageError::failed(file, e))
        };
        write("resolv.conf", &format!("nameserver {}\n", stage.address()))?;
        write("nsswitch.conf", "hosts: dns\n")?;
        // In a mount namespace of its own, where its files are the system's.
        let script = format!(
            "for file in resolv.conf nsswitch.conf; do mount --bind {dir}/$file /etc/$file; done\n\
             for i in $(seq 20); do getent --no-addrconfig ahosts {NAME} || exit 1; done"
        );
        let words = ["unshare", "--mount", "sh", "-c", &script];
        let asked_before = asked(stage);
        stage.run(stage.topology().client, command(&words))?;
        Ok(Said::counted(Kind::Request, asked(stage) - asked_before))
    },
};

/// How many questions dnsmasq says that it was asked.
fn asked(stage: &mut Stage) -> u64 {
    stage.running(0).printed().lines().filter(|line| line.contains(" query[")).count() as u64
}

fn dnsmasq(stage: &mut Stage) -> Result<(), StageError> {
    let v4 = format!("--address=/{NAME}/198.18.7.7");
    let v6 = format!("--address=/{NAME}/fd18::7:7");
    let words = [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--no-poll",
        "--user=root",
        "--pid-file=",
        "--log-facility=-",
        "--log-queries",
        "--port=53",
        &v4,
        &v6,
    ];
    stage.serve(command(&words), Port::Udp(53)).map(|_| ())
}
