//! HTTP: curl with a connection for each request, wrk with connections that are kept.

use super::{
    CONTAINER, CONTAINER_V6, Clock, DNAT, DOCKER, DOCKER_PUBLISHED, EVERYWHERE, EVERYWHERE_LATER,
    MACVLAN, Program, RELAY, Said, VXLAN, unclear,
};
use crate::conformance::{
    process::command,
    report::Kind,
    stage::{Port, Stage, StageError},
};

const PORT: u16 = 8080;
const NGINX: (&str, &str) = ("nginx", "nginx-light");
const CURL: (&str, &str) = ("curl", "curl");

pub(super) const CURL_NGINX: Program = Program {
    name: "curl-nginx",
    what: "curl, 200 requests, each on a connection of its own, to nginx",
    needs: &[CURL, NGINX],
    on: &[
        CONTAINER.core(),
        DNAT.core(),
        VXLAN.core(),
        CONTAINER_V6.core(),
        MACVLAN.core(),
        DOCKER,
        DOCKER_PUBLISHED.core(),
    ],
    serve: nginx,
    run: |stage| curl(stage, 200, true),
};

pub(super) const CURL_RELAY: Program = Program {
    name: "curl-docker-proxy",
    what: "the same through docker-proxy, which makes a connection to the container for each",
    needs: &[CURL, NGINX, ("/usr/sbin/docker-proxy", "docker.io")],
    on: &[RELAY.core()],
    serve: |stage| {
        nginx(stage)?;
        let relay =
            stage.topology().relay.ok_or_else(|| StageError::failed("the relay", "none"))?;
        let port = PORT.to_string();
        // It says on descriptor 3 that it is up.
        let script = format!(
            "exec 3>/dev/null; exec /usr/sbin/docker-proxy -proto tcp -host-ip {} -host-port {port} \
             -container-ip {} -container-port {port}",
            stage.address(),
            relay.to
        );
        stage.serve_on(relay.host, command(&["sh", "-c", &script]), Port::Tcp(PORT)).map(|_| ())
    },
    // curl's clock is of the way to the proxy, and the container's interface is traced.
    run: |stage| curl(stage, 200, false),
};

pub(super) const WRK_NGINX: Program = Program {
    name: "wrk-nginx",
    what: "wrk for a second on 2 connections that are kept, to nginx",
    needs: &[("wrk", "wrk"), NGINX],
    on: EVERYWHERE_LATER,
    serve: nginx,
    run: wrk,
};

pub(super) const CURL_PYTHON: Program = Program {
    name: "curl-python",
    what: "a curl a request, 50 times, to Python's http.server",
    needs: &[CURL, ("/usr/bin/python3", "python3")],
    on: EVERYWHERE,
    serve: |stage| {
        let (port, dir) = (PORT.to_string(), stage.dir().display().to_string());
        let bind = if stage.is_v6() { "::" } else { "0.0.0.0" };
        let words =
            ["/usr/bin/python3", "-m", "http.server", "--bind", bind, "--directory", &dir, &port];
        stage.serve(command(&words), Port::Tcp(PORT)).map(|_| ())
    },
    run: |stage| {
        let url = format!("http://{}/", stage.at(PORT));
        let script = format!(
            "for i in $(seq 50); do curl --silent --globoff --output /dev/null --write-out '{WRITTEN}' '{url}'; done"
        );
        let printed = stage.run(stage.topology().client, command(&["sh", "-c", &script]))?;
        said(&printed, true)
    },
};

pub(super) fn nginx(stage: &mut Stage) -> Result<(), StageError> {
    let dir = stage.dir().display().to_string();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {dir}/{name};\n"))
        .concat();
    let configuration = format!(
        "daemon off; user root; worker_processes 1; pid {dir}/nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{ access_log off; {temporary}\n\
         keepalive_requests 1000000;\n\
         server {{ listen 0.0.0.0:{PORT}; listen [::]:{PORT};\n\
         location / {{ return 200 'a page of no great length\\n'; }} }} }}\n"
    );
    let file = format!("{dir}/nginx.conf");
    std::fs::write(&file, configuration).map_err(|e| StageError::failed("nginx.conf", e))?;
    let words = ["nginx", "-e", "stderr", "-p", &dir, "-c", &file];
    stage.serve(command(&words), Port::Tcp(PORT)).map(|_| ())
}

/// When it asked for the connection, when it had it, when it had asked, when it had the page; seconds.
const WRITTEN: &str = "%{time_namelookup} %{time_connect} %{time_pretransfer} %{time_total}\\n";

/// One curl; `clocked`: what it times is what is traced.
pub(super) fn curl(stage: &mut Stage, count: u32, clocked: bool) -> Result<Said, StageError> {
    let url = format!("http://{}/[1-{count}]", bracketless(stage));
    let words = [
        "curl",
        "--silent",
        "--output",
        "/dev/null",
        "--header",
        "Connection: close",
        "--write-out",
        WRITTEN,
        &url,
    ];
    let printed = stage.run(stage.topology().client, command(&words))?;
    said(&printed, clocked)
}

/// curl takes brackets for a range of its own.
fn bracketless(stage: &Stage) -> String {
    stage.at(PORT).replace('[', "\\[").replace(']', "\\]")
}

fn said(printed: &str, clocked: bool) -> Result<Said, StageError> {
    let times: Vec<[f64; 4]> = printed
        .lines()
        .filter_map(|line| {
            let times: Vec<f64> = line.split(' ').flat_map(str::parse).collect();
            times.try_into().ok()
        })
        .collect();
    if times.is_empty() {
        return Err(unclear("curl", printed));
    }
    let count = times.len() as u64;
    let mean_ns = |of: &dyn Fn(&[f64; 4]) -> f64| {
        times.iter().map(of).sum::<f64>() / times.len() as f64 * 1e9
    };
    // It notes that it has asked after the call that sends, by when the reply may be there: the request
    // left between that and the connection.
    let clock =
        Clock { ends_ns: mean_ns(&|t| t[2] - t[1]), ..Clock::read(mean_ns(&|t| t[3] - t[1])) };
    Ok(Said::default().and(Kind::Connect, count, None).and(
        Kind::Request,
        count,
        clocked.then_some(clock),
    ))
}

const CONNECTIONS: u32 = 2;

fn wrk(stage: &mut Stage) -> Result<Said, StageError> {
    let (client, server) = (stage.topology().client, stage.topology().server);
    let (url, own) = (stage.at(PORT), stage.at_loopback(PORT));
    let (requests, mean_ns) = asked_by_wrk(stage, client, &url)?;
    // Nothing of this is traced: it leaves no namespace.
    let (_, ends_ns) = asked_by_wrk(stage, server, &own)?;
    let clock = Clock { ends_ns, ..Clock::read(mean_ns) };
    // It connects once more, to see whether the server is there.
    Ok(Said::counted(Kind::Connect, 3).and(Kind::Request, requests, Some(clock)))
}

/// How many requests wrk has sent from this namespace, and what they took, ns in the mean.
fn asked_by_wrk(stage: &mut Stage, netns: &str, server: &str) -> Result<(u64, f64), StageError> {
    let url = format!("http://{server}/");
    let words = [
        "wrk",
        "--threads",
        "1",
        "--connections",
        &CONNECTIONS.to_string(),
        "--duration",
        "1s",
        &url,
    ];
    let printed = stage.run(netns, command(&words))?;
    let requests = printed
        .lines()
        .find_map(|line| line.trim().split_once(" requests in")?.0.parse::<u64>().ok());
    let rate = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:")?.trim().parse::<f64>().ok());
    let (Some(requests), Some(rate)) = (requests, rate) else {
        return Err(unclear("wrk", &printed));
    };
    // What it prints as latency holds requests that it would have sent; each connection asks again at
    // once, so that this is the mean of those that it did send.
    Ok((requests, f64::from(CONNECTIONS) / rate * 1e9))
}
