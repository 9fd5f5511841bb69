//! Writing a recording.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{FRAME_HEADER, Kind, MAGIC, RecordingError, SUMMED, VERSION, checksum};
use crate::session::{Ending, Session};

/// Events are packed into a frame once they have this many bytes.
const FRAME_BYTES: usize = 1 << 20;
/// And at least this often, ns: what is lost when the writer is killed.
const FRAME_NS: u64 = 1_000_000_000;
/// zstd's fastest levels are as good here as its slow ones: cells are regular.
const LEVEL: i32 = 1;

/// A recording that is being written.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    watermark_ns: u64,
    flushed_ns: u64,
    /// The chunks of the frame at hand.
    pending: Vec<u8>,
    frame: Vec<u8>,
    /// Bytes written.
    pub written: u64,
}

impl Writer {
    /// Begins a file; what it held is gone.
    pub fn create(path: &Path) -> Result<Self, RecordingError> {
        let fail = |what| {
            let path = path.to_owned();
            move |source| RecordingError::Io { what, path, source }
        };
        let mut file = File::create(path).map_err(fail("create"))?;
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_le_bytes());
        file.write_all(&head).map_err(fail("write to"))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            watermark_ns: 0,
            flushed_ns: 0,
            pending: Vec::new(),
            frame: Vec::new(),
            written: head.len() as u64,
        })
    }

    /// Writes the session; it comes first, and again, after the events so far, when it changes.
    pub fn session(&mut self, session: &Session) -> Result<(), RecordingError> {
        self.flush()?;
        let json = serde_json::to_vec(session).map_err(io::Error::from);
        let json = json.map_err(|e| self.failed(e))?;
        self.frame(Kind::Session, &json)
    }

    /// Adds a chunk.
    pub fn chunk(&mut self, chunk: &[u8]) {
        let length = u32::try_from(chunk.len()).unwrap_or(0);
        self.pending.extend_from_slice(&length.to_le_bytes());
        self.pending.extend_from_slice(&chunk[..length as usize]);
    }

    /// Says that all that happened before `watermark_ns` has been added.
    pub fn advance(&mut self, watermark_ns: u64) -> Result<(), RecordingError> {
        self.watermark_ns = watermark_ns;
        let old = watermark_ns.saturating_sub(self.flushed_ns) >= FRAME_NS;
        if old || self.pending.len() >= FRAME_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the events at hand.
    pub fn flush(&mut self) -> Result<(), RecordingError> {
        self.flushed_ns = self.watermark_ns;
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut payload = self.watermark_ns.to_le_bytes().to_vec();
        payload.append(&mut self.pending);
        self.frame(Kind::Events, &payload)
    }

    /// Writes the ending, and everything before it.
    pub fn end(mut self, ending: &Ending) -> Result<u64, RecordingError> {
        self.flush()?;
        let json = serde_json::to_vec(ending).map_err(io::Error::from);
        let json = json.map_err(|e| self.failed(e))?;
        self.frame(Kind::Ending, &json)?;
        self.file.sync_all().map_err(|e| self.failed(e))?;
        Ok(self.written)
    }

    fn frame(&mut self, kind: Kind, payload: &[u8]) -> Result<(), RecordingError> {
        let packed = zstd::bulk::compress(payload, LEVEL).map_err(|e| self.failed(e))?;
        let mut header = [0; FRAME_HEADER];
        header[0] = kind as u8;
        let length = u32::try_from(packed.len()).unwrap_or(u32::MAX);
        header[4..SUMMED].copy_from_slice(&length.to_le_bytes());
        let sum = checksum(VERSION, &header, &packed);
        header[SUMMED..].copy_from_slice(&sum.to_le_bytes());
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        frame.reserve(FRAME_HEADER + packed.len());
        frame.extend_from_slice(&header);
        frame.extend_from_slice(&packed);
        let result = self.file.write_all(&frame);
        self.written += frame.len() as u64;
        self.frame = frame;
        result.map_err(|e| self.failed(e))
    }

    fn failed(&self, source: io::Error) -> RecordingError {
        RecordingError::Io { what: "write to", path: self.path.clone(), source }
    }
}
