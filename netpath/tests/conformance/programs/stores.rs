//! Redis, memcached, PostgreSQL: a request and its reply at a time, on connections that are kept.

use std::{fs, os::unix::process::CommandExt as _, path::PathBuf};

use super::{Clock, EVERYWHERE, EVERYWHERE_CORE, EVERYWHERE_LATER, Program, Said, Until, unclear};
use crate::conformance::{
    process::command,
    report::Kind,
    stage::{Port, Stage, StageError},
};

pub(super) const REDIS: Program = Program {
    name: "redis-benchmark",
    what: "redis-benchmark, 2,000 GETs on one connection",
    needs: &[("redis-benchmark", "redis-tools"), ("redis-check-rdb", "redis-tools")],
    on: EVERYWHERE_CORE,
    serve: |stage| {
        // Debian's redis-server is this program under another name.
        let mut server =
            command(&["redis-check-rdb", "--bind", "*", "-::*", "--protected-mode", "no"]);
        server.arg0("redis-server").args(["--save", "", "--port", "6379", "--dir"]);
        server.arg(stage.dir());
        stage.serve(server, Port::Tcp(6379)).map(|_| ())
    },
    run: redis,
};

const GETS: u64 = 2000;

fn redis(stage: &mut Stage) -> Result<Said, StageError> {
    let (client, server) = (stage.topology().client, stage.topology().server);
    let mean_ns = asked_by_redis(stage, client, &stage.address())?;
    // Nothing of this is traced: it leaves no namespace.
    let ends_ns = asked_by_redis(stage, server, stage.loopback())?;
    // Its clock stops when the socket can be read (readHandler in redis-benchmark.c).
    let clock = Clock { mean_ns, until: Until::Woken, ends_ns };
    // Before, it asks for two settings at once, on a connection of its own.
    Ok(Said::counted(Kind::Connect, 2).and(Kind::Request, GETS + 1, Some(clock)))
}

/// The mean by redis-benchmark's clock, ns.
fn asked_by_redis(stage: &mut Stage, host: &str, address: &str) -> Result<f64, StageError> {
    let count = GETS.to_string();
    let words = ["redis-benchmark", "-h", address, "-c", "1", "-n", &count, "-t", "get", "--csv"];
    let printed = stage.run(host, command(&words))?;
    // "test","rps","avg_latency_ms",…
    let average = printed
        .lines()
        .find(|line| line.starts_with("\"GET\""))
        .and_then(|line| line.split(',').nth(2)?.trim_matches('"').parse::<f64>().ok());
    average.map(|ms| ms * 1e6).ok_or_else(|| unclear("redis-benchmark", &printed))
}

pub(super) const MEMCACHED: Program = Program {
    name: "memcached",
    what: "memcslap, 500 SETs, and 500 GETs on another connection, to memcached",
    needs: &[("memcached", "memcached"), ("memcslap", "libmemcached-tools")],
    on: EVERYWHERE,
    serve: |stage| {
        let words = ["memcached", "-u", "nobody", "-p", "11211", "-U", "0", "-t", "1"];
        stage.serve(command(&words), Port::Tcp(11211)).map(|_| ())
    },
    run: |stage| {
        let servers = format!("--servers={}", stage.at(11211));
        let words = ["memcslap", &servers, "--concurrency=1", "--execute-number=500", "--test=get"];
        stage.run(stage.topology().client, command(&words))?;
        // It stores on a connection of its own.
        Ok(Said::counted(Kind::Connect, 2).and(Kind::Request, 1000, None))
    },
};

pub(super) const PGBENCH: Program = Program {
    name: "pgbench",
    what: "pgbench, 500 transactions of one SELECT on one connection, to PostgreSQL",
    needs: &[("pgbench", "postgresql-client-common"), ("pg_ctlcluster", "postgresql")],
    on: EVERYWHERE_LATER,
    serve: postgres,
    run: pgbench,
};

/// Where Debian has PostgreSQL's own programs.
fn postgres_programs() -> Result<PathBuf, StageError> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.retain(|dir| dir.join("initdb").is_file());
    found.sort();
    found.pop().ok_or_else(|| StageError::Lacks("PostgreSQL's server is not here".to_owned()))
}

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

fn postgres(stage: &mut Stage) -> Result<(), StageError> {
    let programs = postgres_programs()?;
    let data = stage.dir().join("postgres");
    fs::create_dir(&data)
        .and_then(|()| std::os::unix::fs::chown(&data, Some(65534), Some(65534)))
        .map_err(|e| StageError::failed("PostgreSQL's directory", e))?;
    let data = data.display().to_string();
    let server = stage.topology().server;
    let initdb = programs.join("initdb").display().to_string();
    let words = [
        &NOBODY[..],
        &[
            &initdb,
            "-D",
            &data,
            "-A",
            "trust",
            "-U",
            "bench",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ],
    ]
    .concat();
    stage.run(server, command(&words))?;
    fs::write(
        format!("{data}/pg_hba.conf"),
        "local all all trust\nhost all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n",
    )
    .map_err(|e| StageError::failed("pg_hba.conf", e))?;
    let postgres = programs.join("postgres").display().to_string();
    let words = [
        &NOBODY[..],
        &[&postgres, "-D", &data, "-k", &data, "-h", "*", "-F", "-c", "log_connections=on"],
        &["-c", "log_statement=all", "-c", "max_wal_size=1GB"],
    ]
    .concat();
    stage.serve(command(&words), Port::Tcp(5432))?;
    // Through its socket, with its few tables; nothing of it is traced.
    let mut fill = command(&["pgbench", "-i", "-q", "-h", &data, "-U", "bench", "postgres"]);
    fill.env("PGSSLMODE", "disable");
    stage.run(server, fill).map(|_| ())
}

fn pgbench(stage: &mut Stage) -> Result<Said, StageError> {
    // What the server has said so far is of filling it.
    let said_before = stage.running(0).printed().len();
    let address = stage.address();
    let words =
        ["pgbench", "-n", "-S", "-c", "1", "-t", "500", "-h", &address, "-U", "bench", "postgres"];
    let mut client = command(&words);
    client.env("PGSSLMODE", "disable").env("PGGSSENCMODE", "disable");
    let printed = stage.run(stage.topology().client, client)?;
    let average = printed.lines().find_map(|line| {
        line.strip_prefix("latency average = ")?.strip_suffix(" ms")?.parse::<f64>().ok()
    });
    let average = average.ok_or_else(|| unclear("pgbench", &printed))?;
    let let_in = printed.lines().find_map(|line| {
        line.strip_prefix("initial connection time = ")?.strip_suffix(" ms")?.parse::<f64>().ok()
    });
    let let_in = let_in.ok_or_else(|| unclear("pgbench", &printed))?;
    let log = stage.running(0).printed().split_off(said_before);
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count() as u64;
    let (connects, statements) = (lines("connection authorized"), lines("statement: "));
    // To be let in is a request too, which takes the server a process; it is clocked on one connection.
    let requests = connects + statements;
    let sum = average * statements as f64 + let_in * connects as f64;
    let clock = Clock::read(sum / requests as f64 * 1e6);
    Ok(Said::counted(Kind::Connect, connects).and(Kind::Request, requests, Some(clock)))
}
