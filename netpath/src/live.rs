//! A trace that is under way, on a thread of its own.
//!
//! In: a tracer and its session, made on that thread; when to stop. Out: [`Snapshot`]s for whoever
//! asks for one, and at the end what was gathered. The thread owns tracer, pipeline and ledger;
//! a snapshot is built only when it is asked for, so that nobody pays for what nobody looks at.

mod budget;
mod engine;
mod pace;
mod quotas;
mod rules;
mod settings;
mod surroundings;

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use thiserror::Error;

pub use budget::selection;
pub use engine::{Attached, Done, Limits};

use crate::{kernel::KernelError, recording::RecordingError, snapshot::Snapshot};
use engine::{Command, Engine};

#[derive(Debug, Error)]
pub enum LiveError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error("cannot start the tracing thread: {0}")]
    Thread(#[from] std::io::Error),
    #[error("the tracing thread panicked; what it gathered is lost")]
    Panicked,
}

/// A running trace. When it is dropped, the trace ends.
#[derive(Debug)]
pub struct Live {
    commands: Sender<Command>,
    snapshots: Receiver<Arc<Snapshot>>,
    thread: JoinHandle<Result<Done, LiveError>>,
}

/// What there is to see.
#[derive(Debug)]
pub enum News {
    Snapshot(Arc<Snapshot>),
    /// Nothing in this time.
    Nothing,
    /// The trace has ended; [`Live::finish`] says how.
    Over,
}

impl Live {
    /// Starts the thread, which calls `attach`, and returns once that has succeeded.
    pub fn start<E>(
        attach: impl FnOnce() -> Result<Attached, E> + Send + 'static,
        limits: Limits,
    ) -> Result<Self, E>
    where
        E: From<LiveError> + Send + 'static,
    {
        let (commands, inbox) = mpsc::channel();
        let (outbox, snapshots) = mpsc::channel();
        let (tell, told) = mpsc::sync_channel(1);
        let run = move || {
            let attached = match attach() {
                Ok(attached) => attached,
                Err(error) => {
                    let _ = tell.send(Err(error));
                    return Ok(Done::default());
                }
            };
            let _ = tell.send(Ok(()));
            Engine::new(attached).run(&limits, &inbox, &outbox)
        };
        let thread = thread::Builder::new().name("netpath-trace".to_owned()).spawn(run);
        let thread = thread.map_err(LiveError::from)?;
        told.recv().map_err(|_| LiveError::Panicked)??;
        Ok(Self { commands, snapshots, thread })
    }

    /// Asks for a snapshot; it comes with [`Self::wait`] or [`Self::newest`].
    pub fn ask(&self) {
        let _ = self.commands.send(Command::Publish);
    }

    /// Forgets what was gathered so far.
    pub fn reset(&self) {
        let _ = self.commands.send(Command::Reset);
    }

    /// The newest snapshot that has come, without waiting for one.
    pub fn newest(&self) -> News {
        let mut newest = News::Nothing;
        loop {
            match self.snapshots.try_recv() {
                Ok(snapshot) => newest = News::Snapshot(snapshot),
                Err(TryRecvError::Empty) => return newest,
                Err(TryRecvError::Disconnected) => return News::Over,
            }
        }
    }

    /// Waits for the next snapshot, or the end.
    pub fn wait(&self, timeout: Duration) -> News {
        match self.snapshots.recv_timeout(timeout) {
            Ok(snapshot) => News::Snapshot(snapshot),
            Err(RecvTimeoutError::Timeout) => News::Nothing,
            Err(RecvTimeoutError::Disconnected) => News::Over,
        }
    }

    /// Waits until the limits end the trace.
    pub fn join(self) -> Result<Done, LiveError> {
        self.thread.join().unwrap_or(Err(LiveError::Panicked))
    }

    /// Ends the trace, and says what it has gathered.
    pub fn finish(self) -> Result<Done, LiveError> {
        let _ = self.commands.send(Command::Stop);
        self.join()
    }
}
