//! The netpath in a guest: it carries one end of the lab's traffic, as the lab tells it.
//!
//! In: questions, from a port of the machine's. Out: answers, to the same port.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::traffic::ends::{Asker as _, ClientThread, Server as _, ServerThread, Stand},
    protocol::{Answer, Ask, Counts, PROTOCOL},
};

/// One end of a load that runs here.
enum End {
    Server(ServerThread),
    Client { thread: ClientThread, since: Instant },
}

/// How often it is looked whether somebody has opened the other side.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers whoever opens the other side of the port, one after the other.
pub fn run(port: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(port)?;
    loop {
        // A port that nobody has opened on the other side reads as ended. It stays open here: what was
        // sent when it is closed is lost.
        answer_all(BufReader::new(&file), &file)?;
        thread::sleep(PAUSE);
    }
}

fn answer_all(from: impl BufRead, mut to: impl Write) -> io::Result<()> {
    let mut ends = Ends::default();
    for line in from.lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(ask) => ends.answer(ask).unwrap_or_else(Answer::Failed),
            Err(e) => Answer::Failed(e.to_string()),
        };
        let mut text = serde_json::to_string(&answer)?;
        text.push('\n');
        to.write_all(text.as_bytes())?;
    }
    Ok(())
}

#[derive(Default)]
struct Ends {
    all: BTreeMap<u64, End>,
    last: u64,
}

impl Ends {
    fn answer(&mut self, ask: Ask) -> Result<Answer, String> {
        Ok(match ask {
            Ask::Hello => {
                Answer::Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() }
            }
            Ask::Serve { load, v6 } => {
                let (server, port) = ServerThread::start(Stand::default(), load, v6)?;
                Answer::Serving { id: self.keep(End::Server(server)), port }
            }
            Ask::Request { load, to } => {
                let thread = ClientThread::start(Stand::default(), load, to)?;
                let since = Instant::now();
                Answer::Requesting { id: self.keep(End::Client { thread, since }) }
            }
            Ask::Begin { id } => match self.end(id)? {
                End::Client { thread, since } => {
                    thread.begin()?;
                    *since = Instant::now();
                    Answer::Begun
                }
                End::Server(_) => return Err(format!("{id} is no client")),
            },
            Ask::Received { id } => match self.end(id)? {
                End::Server(server) => {
                    let now = server.received()?;
                    let at_ns = u64::try_from(now.at.as_nanos()).unwrap_or(u64::MAX);
                    Answer::Received { bytes: now.bytes, at_ns }
                }
                End::Client { .. } => return Err(format!("{id} is no server")),
            },
            Ask::Count { id } => match self.end(id)? {
                End::Client { thread, .. } => Answer::Count(thread.count()),
                End::Server(_) => return Err(format!("{id} is no client")),
            },
            Ask::Finished { id } => match self.end(id)? {
                End::Client { thread, .. } => Answer::Finished(thread.finished()),
                End::Server(_) => return Err(format!("{id} is no client")),
            },
            Ask::Stop { id } => match self.all.remove(&id) {
                Some(End::Server(mut server)) => {
                    server.stop()?;
                    Answer::Stopped(None)
                }
                Some(End::Client { mut thread, since }) => {
                    let took = since.elapsed();
                    let counted = thread.stop()?;
                    Answer::Stopped(Some(Counts::of(&counted, counted.took.unwrap_or(took))))
                }
                None => return Err(format!("there is no {id}")),
            },
        })
    }

    fn keep(&mut self, end: End) -> u64 {
        self.last += 1;
        self.all.insert(self.last, end);
        self.last
    }

    fn end(&mut self, id: u64) -> Result<&mut End, String> {
        self.all.get_mut(&id).ok_or_else(|| format!("there is no {id}"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::lab::{
        guest::Guest,
        traffic::{
            Load, Sizes,
            ends::{Asker, Server},
        },
    };

    /// A socket stands in for the machine's port: both ends of a load in the agent, over loopback.
    #[test]
    fn a_load_runs_in_the_agent_as_it_is_told() {
        let dir = std::env::temp_dir().join(format!("netpath-agent-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("port");
        let listener = UnixListener::bind(&path).unwrap();
        let agent = thread::spawn(move || {
            let (port, _) = listener.accept()?;
            answer_all(BufReader::new(port.try_clone()?), port)
        });
        let guest = Guest::connect(&path).unwrap();
        let load = Load::TcpRequests(Sizes::IBM);
        let (mut server, port) = guest.serve(load, false).unwrap();
        let mut client = guest.request(load, ([127, 0, 0, 1], port).into()).unwrap();
        client.begin().unwrap();
        while client.count() < 50 {
            thread::yield_now();
        }
        assert!(server.received().unwrap().bytes >= 50 * 100);
        let counted = Asker::stop(&mut client).unwrap();
        assert!(counted.count > 0 && counted.round_trips.len() == counted.count);
        assert!(counted.took.is_some());
        Server::stop(&mut server).unwrap();
        drop((client, server, guest));
        agent.join().unwrap().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
