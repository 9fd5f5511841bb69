//! Asking a container runtime over its socket, for a bounded time.
//!
//! In: the socket's path, what to ask for, until when. Out: what was answered. A socket that nobody serves, that
//! is busy, drips or never ends holds nobody up for longer.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::{
    socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt},
    time::{TimeVal, TimeValLike as _},
};
use std::os::fd::AsRawFd as _;
use thiserror::Error;

use super::answer::{self, AnswerError};

/// More than any runtime has to say of its containers.
const LONGEST: usize = 64 << 20;

#[derive(Debug, Error)]
pub(super) enum ApiError {
    #[error("it does not answer in time")]
    Late,
    #[error("its answer is longer than {} MiB", LONGEST >> 20)]
    Long,
    #[error(transparent)]
    Io(io::Error),
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl From<io::Error> for ApiError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Late,
            _ => Self::Io(error),
        }
    }
}

/// The answer to `GET path`.
pub(super) fn get(at: &Path, path: &str, until: Instant) -> Result<Vec<u8>, ApiError> {
    let mut stream = connected(at, left(until)?)?;
    stream.set_write_timeout(Some(left(until)?))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 << 10];
    loop {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut part) {
            Ok(0) => return Ok(answer::body(&bytes)?),
            Ok(n) => bytes.extend_from_slice(&part[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if bytes.len() > LONGEST {
            return Err(ApiError::Long);
        }
    }
}

fn left(until: Instant) -> Result<Duration, ApiError> {
    let left = until.saturating_duration_since(Instant::now());
    // The kernel's timeouts have microseconds, and none of them is for ever.
    if left < Duration::from_millis(1) { Err(ApiError::Late) } else { Ok(left) }
}

/// Connects. Where the backlog of who serves it is full, that waits as long as a write may.
fn connected(at: &Path, within: Duration) -> Result<UnixStream, ApiError> {
    let fail = |errno: nix::Error| ApiError::from(io::Error::from(errno));
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(fail)?;
    let micros = i64::try_from(within.as_micros()).unwrap_or(i64::MAX);
    let timeout = TimeVal::microseconds(micros);
    setsockopt(&socket, sockopt::SendTimeout, &timeout).map_err(fail)?;
    let address = UnixAddr::new(at).map_err(fail)?;
    connect(socket.as_raw_fd(), &address).map_err(fail)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    /// What is got from who writes this, and closes or not.
    fn asked(written: &'static [u8], closes: bool) -> Result<Vec<u8>, ApiError> {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("socket");
        let listener = UnixListener::bind(&at).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap();
            assert!(request[..n].starts_with(b"GET /containers/json HTTP/1.1\r\n"));
            stream.write_all(written).unwrap();
            if !closes {
                // Until the other side has given up.
                let _ = stream.read(&mut request);
            }
        });
        // One that closes is waited for: how long this machine takes is no part of the test.
        let until = if closes { Instant::now() + Duration::from_mins(1) } else { soon() };
        let got = get(&at, "/containers/json", until);
        server.join().unwrap();
        got
    }

    #[test]
    fn an_answer_comes() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
        assert_eq!(asked(answer, true).unwrap(), b"[]");
    }

    #[test]
    fn who_hangs_is_left() {
        assert!(matches!(asked(b"", false), Err(ApiError::Late)));
        assert!(matches!(asked(b"HTTP/1.1 200 OK\r\n", false), Err(ApiError::Late)));
    }

    #[test]
    fn who_breaks_off_or_lies_is_told() {
        assert!(matches!(asked(b"", true), Err(ApiError::Answer(AnswerError::BreaksOff))));
        assert!(matches!(
            asked(b"220 mail\r\n", true),
            Err(ApiError::Answer(AnswerError::NotHttp))
        ));
    }

    #[test]
    fn a_socket_that_nobody_accepts_from_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("socket");
        let _listener = UnixListener::bind(&at).unwrap();
        let mut waiting = Vec::new();
        // Until the backlog is full, it connects and nobody answers; then it does not connect.
        let backlog = loop {
            match connected(&at, Duration::from_millis(5)) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
        };
        assert!(matches!(backlog, ApiError::Late), "{backlog}");
        assert!(matches!(get(&at, "/", soon()), Err(ApiError::Late)));
    }

    #[test]
    fn a_socket_that_is_not_there_is_told_at_once() {
        let nowhere = get(Path::new("/nonexistent/socket"), "/", soon());
        assert!(matches!(nowhere, Err(ApiError::Io(e)) if e.kind() == io::ErrorKind::NotFound));
    }
}
