//! UDP loads.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    thread,
    time::{Duration, Instant},
};

use super::{Client, PATIENCE, PATIENCE_SERVER, Sizes, Stop};

fn bind(any: &str, listening: &Sender<u16>) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(PATIENCE_SERVER))?;
    let _ = listening.send(socket.local_addr()?.port());
    Ok(socket)
}

/// Whether a receive has only found nothing in time.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Answers every datagram.
pub(super) fn reply(
    any: &str,
    sizes: Sizes,
    listening: &Sender<u16>,
    stop: &Stop,
    received: &AtomicU64,
) -> io::Result<()> {
    let socket = bind(any, listening)?;
    let mut buffer = vec![0; 65536];
    let answer = vec![0; sizes.reply];
    while !stop.requested() {
        match socket.recv_from(&mut buffer) {
            Ok((n, from)) => {
                received.fetch_add(n as u64, Ordering::Relaxed);
                socket.send_to(&answer, from)?;
            }
            Err(e) if is_timeout(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads and forgets.
pub(super) fn sink(
    any: &str,
    listening: &Sender<u16>,
    stop: &Stop,
    received: &AtomicU64,
) -> io::Result<()> {
    let socket = bind(any, listening)?;
    let mut buffer = vec![0; 65536];
    while !stop.requested() {
        match socket.recv(&mut buffer) {
            Ok(n) => {
                received.fetch_add(n as u64, Ordering::Relaxed);
            }
            Err(e) if is_timeout(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" })?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// One request in flight; a lost one is sent again after a while, and not counted.
pub(super) fn request(to: SocketAddr, sizes: Sizes, client: &mut Client) -> io::Result<()> {
    let socket = connected(to)?;
    let question = vec![0; sizes.request];
    let mut buffer = vec![0; 65536];
    while client.goes_on() {
        let since = Instant::now();
        socket.send(&question)?;
        match socket.recv(&mut buffer) {
            Ok(_) => {
                client.round_trip(since, sizes.request);
            }
            Err(e) if is_timeout(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// How many datagrams go out between two looks at the clock.
const BURST: u64 = 32;

/// Sends and forgets.
pub(super) fn flood(
    to: SocketAddr,
    bytes: usize,
    rate: Option<u64>,
    client: &mut Client,
) -> io::Result<()> {
    let socket = connected(to)?;
    let datagram = vec![0; bytes];
    let started = Instant::now();
    while client.goes_on() {
        let burst = rate.map_or(BURST, |rate| due(rate, started.elapsed(), client.counted.count));
        if burst == 0 {
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        for _ in 0..burst {
            match socket.send(&datagram) {
                Ok(_) => {
                    client.sent(bytes);
                }
                // A full queue, or nobody listening yet: the flood goes on.
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock
                    ) || e.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

/// How many are due by now.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number of datagrams"
)]
fn due(rate: u64, elapsed: Duration, sent: u64) -> u64 {
    ((elapsed.as_secs_f64() * rate as f64) as u64).saturating_sub(sent).min(BURST)
}
