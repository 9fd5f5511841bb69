//! A guest of the lab's: a virtual machine that carries one end of a topology's traffic.
//!
//! In: the socket of a port of the machine's, where netpath in the guest listens. Out: servers and
//! clients in the guest that look like those of this machine. What is asked and answered goes
//! through that port, so it never mixes with the packets that are measured.
//!
//! - [`protocol`]: what is said; [`agent`]: the end in the guest;
//! - [`image`]: the kernel and the initramfs that a guest is made of.

pub mod agent;
pub(super) mod image;
mod protocol;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::traffic::{
    Load,
    client::Counted,
    ends::{Asker, Reading, Server},
};
use protocol::{Answer, Ask, PROTOCOL};

/// How long an answer may take: an emulated machine that is busy sending has little time for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A guest that runs.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    line: Arc<Mutex<Line>>,
}

#[derive(Debug)]
struct Line {
    to: UnixStream,
    from: BufReader<UnixStream>,
}

impl Guest {
    /// Reaches the netpath in a guest through its port's socket.
    pub(super) fn connect(socket: &Path) -> Result<Self, String> {
        let fail =
            |e: std::io::Error| format!("cannot reach the guest at {}: {e}", socket.display());
        let to = UnixStream::connect(socket).map_err(fail)?;
        to.set_read_timeout(Some(PATIENCE)).map_err(fail)?;
        let from = BufReader::new(to.try_clone().map_err(fail)?);
        let this = Self { line: Arc::new(Mutex::new(Line { to, from })) };
        match this.ask(&Ask::Hello)? {
            Answer::Hello { protocol: PROTOCOL, .. } => Ok(this),
            Answer::Hello { version, .. } => Err(format!(
                "the guest's image is of netpath {version}, which speaks another way; make it \
                 anew with `{}`",
                image::MAKE
            )),
            other => Err(odd(&other)),
        }
    }

    fn ask(&self, what: &Ask) -> Result<Answer, String> {
        let fail = |e: &dyn std::fmt::Display| format!("the guest does not answer: {e}");
        let mut line = self.line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut text = serde_json::to_string(what).map_err(|e| fail(&e))?;
        text.push('\n');
        line.to.write_all(text.as_bytes()).map_err(|e| fail(&e))?;
        let mut said = String::new();
        if line.from.read_line(&mut said).map_err(|e| fail(&e))? == 0 {
            return Err("the guest has ended".to_owned());
        }
        match serde_json::from_str(&said).map_err(|e| fail(&e))? {
            Answer::Failed(why) => Err(format!("guest: {why}")),
            answer => Ok(answer),
        }
    }

    /// Starts a server in the guest; returns it and its port.
    pub(super) fn serve(&self, load: Load, v6: bool) -> Result<(Remote, u16), String> {
        match self.ask(&Ask::Serve { load, v6 })? {
            Answer::Serving { id, port } => Ok((self.remote(id), port)),
            other => Err(odd(&other)),
        }
    }

    /// Starts a client in the guest; returns it once it has had its first answer.
    pub(super) fn request(&self, load: Load, to: SocketAddr) -> Result<Remote, String> {
        match self.ask(&Ask::Request { load, to })? {
            Answer::Requesting { id } => Ok(self.remote(id)),
            other => Err(odd(&other)),
        }
    }

    fn remote(&self, id: u64) -> Remote {
        Remote { guest: self.clone(), id, stopped: false }
    }
}

fn odd(answer: &Answer) -> String {
    format!("the guest answers what was not asked: {answer:?}")
}

/// One end of a load, in a guest.
#[derive(Debug)]
pub(super) struct Remote {
    guest: Guest,
    id: u64,
    stopped: bool,
}

impl Remote {
    fn end(&mut self) -> Result<Option<protocol::Counts>, String> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(None);
        }
        match self.guest.ask(&Ask::Stop { id: self.id })? {
            Answer::Stopped(counts) => Ok(counts),
            other => Err(odd(&other)),
        }
    }
}

impl Server for Remote {
    fn received(&self) -> Result<Reading, String> {
        match self.guest.ask(&Ask::Received { id: self.id })? {
            Answer::Received { bytes, at_ns } => {
                Ok(Reading { bytes, at: Duration::from_nanos(at_ns) })
            }
            other => Err(odd(&other)),
        }
    }

    fn stop(&mut self) -> Result<(), String> {
        self.end().map(|_| ())
    }
}

impl Asker for Remote {
    fn begin(&mut self) -> Result<(), String> {
        self.guest.ask(&Ask::Begin { id: self.id }).map(|_| ())
    }

    fn count(&self) -> u64 {
        match self.guest.ask(&Ask::Count { id: self.id }) {
            Ok(Answer::Count(n)) => n,
            _ => 0,
        }
    }

    fn finished(&self) -> bool {
        matches!(self.guest.ask(&Ask::Finished { id: self.id }), Ok(Answer::Finished(true)))
    }

    fn stop(&mut self) -> Result<Counted, String> {
        self.end()?.map_or_else(|| Ok(Counted::new()), protocol::Counts::counted)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
