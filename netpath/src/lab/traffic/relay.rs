//! A process between client and server, as docker-proxy is one: it takes a connection, makes
//! another, and copies what comes.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::Sender,
    thread,
};

use super::{PATIENCE_START, Stop, tcp};

/// Passes connections on to `to` until it is time to stop.
pub(super) fn run(to: SocketAddr, listening: &Sender<u16>, stop: &Stop) -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:0")?;
    let _ = listening.send(listener.local_addr()?.port());
    // Both directions of every connection.
    thread::scope(|scope| {
        while let Some(client) = tcp::next(&listener, stop)? {
            let server = TcpStream::connect_timeout(&to, PATIENCE_START)?;
            tcp::prepare(&server)?;
            for (from, to) in [
                (client.try_clone()?, server.try_clone()?),
                (server.try_clone()?, client.try_clone()?),
            ] {
                scope.spawn(move || copy(from, to, stop));
            }
        }
        Ok(())
    })
}

/// Copies until one end closes or fails; then the other one is told.
fn copy(mut from: TcpStream, mut to: TcpStream, stop: &Stop) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                if to.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            Err(e) if tcp::is_timeout(&e) && !stop.requested() => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
