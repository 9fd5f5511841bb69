//! TCP loads.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    thread,
    time::{Duration, Instant},
};

use super::{Client, PATIENCE, PATIENCE_SERVER, Sizes, Stop};

/// Reads exactly `buffer`; `false` where the other end has closed or it is time to stop.
fn read_all(stream: &mut TcpStream, buffer: &mut [u8], stop: &Stop) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Ok(false),
            Ok(n) => filled += n,
            Err(e) if is_timeout(&e) => {
                if stop.requested() {
                    return Ok(false);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))
}

/// The next connection; none where it is time to stop.
pub(super) fn next(listener: &TcpListener, stop: &Stop) -> io::Result<Option<TcpStream>> {
    let mut poll = [libc::pollfd {
        fd: std::os::fd::AsRawFd::as_raw_fd(listener),
        events: libc::POLLIN,
        revents: 0,
    }];
    let patience = i32::try_from(PATIENCE_SERVER.as_millis()).unwrap_or(10);
    while !stop.requested() {
        // SAFETY: one valid pollfd.
        if unsafe { libc::poll(poll.as_mut_ptr(), 1, patience) } > 0 {
            let (stream, _) = listener.accept()?;
            prepare(&stream)?;
            return Ok(Some(stream));
        }
    }
    Ok(None)
}

/// Gives every connection to `serve`, one at a time, until it is time to stop.
fn accept(
    any: &str,
    listening: &Sender<u16>,
    stop: &Stop,
    mut serve: impl FnMut(TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    let listener = TcpListener::bind(any)?;
    let _ = listening.send(listener.local_addr()?.port());
    while let Some(stream) = next(&listener, stop)? {
        serve(stream)?;
    }
    Ok(())
}

/// Answers every request of every connection.
pub(super) fn reply(
    any: &str,
    sizes: Sizes,
    listening: &Sender<u16>,
    stop: &Stop,
    received: &AtomicU64,
) -> io::Result<()> {
    let mut question = vec![0; sizes.request];
    let answer = vec![0; sizes.reply];
    accept(any, listening, stop, |mut stream| {
        while read_all(&mut stream, &mut question, stop)? {
            received.fetch_add(question.len() as u64, Ordering::Relaxed);
            stream.write_all(&answer)?;
        }
        Ok(())
    })
}

/// Reads and forgets.
pub(super) fn sink(
    any: &str,
    listening: &Sender<u16>,
    stop: &Stop,
    received: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 18];
    accept(any, listening, stop, |mut stream| {
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    received.fetch_add(n as u64, Ordering::Relaxed);
                }
                Err(e) if is_timeout(&e) && !stop.requested() => {}
                Err(_) => return Ok(()),
            }
        }
    })
}

fn open(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(3))?;
    prepare(&stream)?;
    Ok(stream)
}

/// One request in flight on one connection.
pub(super) fn request(to: SocketAddr, sizes: Sizes, client: &mut Client) -> io::Result<()> {
    let mut stream = open(to)?;
    let question = vec![0; sizes.request];
    let mut answer = vec![0; sizes.reply];
    while client.goes_on() {
        let since = Instant::now();
        stream.write_all(&question)?;
        if !read_all(&mut stream, &mut answer, &client.stop)? {
            break;
        }
        client.round_trip(since, sizes.request);
    }
    Ok(())
}

/// A connection for every request: connect, ask, read the answer, close.
pub(super) fn connect(to: SocketAddr, sizes: Sizes, client: &mut Client) -> io::Result<()> {
    let question = vec![0; sizes.request];
    let mut answer = vec![0; sizes.reply];
    while client.goes_on() {
        let since = Instant::now();
        let mut stream = open(to)?;
        stream.write_all(&question)?;
        if !read_all(&mut stream, &mut answer, &client.stop)? {
            break;
        }
        client.round_trip(since, sizes.request);
        // Closing with a reset leaves no TIME_WAIT, which would use up the ports.
        let reset = nix::sys::socket::sockopt::Linger;
        let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(&stream, reset, &at_once)?;
    }
    Ok(())
}

/// As much as the connection takes.
pub(super) fn bulk(to: SocketAddr, client: &mut Client) -> io::Result<()> {
    let mut stream = open(to)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let data = vec![0; 1 << 17];
    while client.goes_on() {
        match stream.write(&data) {
            Ok(n) => {
                client.sent(n);
            }
            Err(e) if is_timeout(&e) => thread::yield_now(),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
