//! Reading a recording. What precedes damage is used; where the damage is, is told.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

use netpath_common::wire::{ABI, ABI_OLDEST};

use super::{
    FRAME_HEADER, FRAME_MAX, Kind, MAGIC, RecordingError, VERSION, VERSION_OLDEST, checksum,
};
use crate::session::{Ending, Session};

/// A recording that is being read.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
    /// Of the file's form.
    version: u16,
    pub session: Session,
    /// What the recording says of its end; `None` until it is reached, or where it is missing.
    pub ending: Option<Ending>,
    /// Why reading ended early.
    pub damage: Option<RecordingError>,
    /// Whether the session has changed since the last step.
    changed: bool,
}

/// Events that were read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// All that happened before this time has been read, ns.
    pub watermark_ns: u64,
    /// Whether [`Reader::session`] is another than for the events before.
    pub changed: bool,
    payload: Vec<u8>,
}

impl Step {
    /// The chunks.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.payload[..];
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length = u32::from_le_bytes(*length) as usize;
            let (chunk, after) = after.split_at_checked(length)?;
            rest = after;
            Some(chunk)
        })
    }
}

impl Reader {
    /// Opens a recording and reads its session.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let owned = path.to_owned();
        let io = |source| RecordingError::Io { what: "read", path: owned.clone(), source };
        let mut file = BufReader::new(File::open(path).map_err(io)?);
        let mut head = [0; MAGIC.len() + 2];
        match file.read_exact(&mut head) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                return Err(RecordingError::NotOne { path: owned });
            }
            Err(e) => return Err(io(e)),
        }
        if head[..MAGIC.len()] != MAGIC {
            return Err(RecordingError::NotOne { path: owned });
        }
        let found = u16::from_le_bytes([head[MAGIC.len()], head[MAGIC.len() + 1]]);
        if !(VERSION_OLDEST..=VERSION).contains(&found) {
            return Err(RecordingError::Version { path: owned, found });
        }
        let mut reader = Self {
            path: owned,
            file,
            offset: head.len() as u64,
            version: found,
            session: Session::default(),
            ending: None,
            damage: None,
            changed: false,
        };
        let session = match reader.frame()? {
            Some((Kind::Session, json)) => reader.json(&json)?,
            _ => return Err(RecordingError::Empty { path: reader.path }),
        };
        reader.session = session;
        if !(ABI_OLDEST..=ABI).contains(&reader.session.abi) {
            return Err(RecordingError::Abi { path: reader.path, found: reader.session.abi });
        }
        Ok(reader)
    }

    /// The next events; `None` at the end, or where the file is damaged from here on.
    pub fn step(&mut self) -> Option<Step> {
        while self.damage.is_none() {
            match self.frame() {
                Ok(Some((Kind::Events, mut payload))) => {
                    let Some((watermark, _)) = payload.split_first_chunk::<8>() else {
                        self.damage = Some(self.damaged("an events frame without a watermark"));
                        return None;
                    };
                    let watermark_ns = u64::from_le_bytes(*watermark);
                    payload.drain(..8);
                    let changed = std::mem::take(&mut self.changed);
                    return Some(Step { watermark_ns, changed, payload });
                }
                Ok(Some((Kind::Ending, json))) => match self.json(&json) {
                    Ok(ending) => self.ending = Some(ending),
                    Err(error) => self.damage = Some(error),
                },
                // The probes were changed while it was recorded.
                Ok(Some((Kind::Session, json))) => match self.json(&json) {
                    Ok(session) => {
                        self.session = session;
                        self.changed = true;
                    }
                    Err(error) => self.damage = Some(error),
                },
                Ok(None) => return None,
                Err(error) => self.damage = Some(error),
            }
        }
        None
    }

    /// The next frame, unpacked; `None` at the file's end.
    fn frame(&mut self) -> Result<Option<(Kind, Vec<u8>)>, RecordingError> {
        let mut header = [0; FRAME_HEADER];
        let got = fill(&mut self.file, &mut header).map_err(|e| self.io(e))?;
        if got == 0 {
            return Ok(None);
        }
        if got < FRAME_HEADER {
            return Err(self.damaged("a frame's header is cut off"));
        }
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (length, sum) = (word(4) as usize, word(8));
        if length > FRAME_MAX {
            return Err(self.damaged(&format!("a frame of {length} bytes")));
        }
        let mut packed = Vec::new();
        let got = (&mut self.file)
            .take(length as u64)
            .read_to_end(&mut packed)
            .map_err(|e| self.io(e))?;
        if got < length {
            return Err(self.damaged(&format!("a frame of {length} bytes is cut off after {got}")));
        }
        if checksum(self.version, &header, &packed) != sum {
            return Err(self.damaged("a frame's checksum is wrong"));
        }
        let Some(kind) = Kind::from_number(header[0]) else {
            return Err(self.damaged(&format!("unknown kind of frame {}", header[0])));
        };
        let payload = zstd::bulk::decompress(&packed, FRAME_MAX)
            .map_err(|e| self.damaged(&format!("a frame can't be unpacked: {e}")))?;
        self.offset += (FRAME_HEADER + length) as u64;
        Ok(Some((kind, payload)))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, json: &[u8]) -> Result<T, RecordingError> {
        serde_json::from_slice(json).map_err(|e| self.damaged(&format!("bad JSON: {e}")))
    }

    fn io(&self, source: std::io::Error) -> RecordingError {
        RecordingError::Io { what: "read", path: self.path.clone(), source }
    }

    fn damaged(&self, what: &str) -> RecordingError {
        RecordingError::Damaged {
            path: self.path.clone(),
            offset: self.offset,
            what: what.to_owned(),
        }
    }
}

/// Reads until `buffer` is full or the file ends; says how much it was.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}
