//! Recordings: raw events in a file, with everything needed to replay them elsewhere.
//!
//! ```text
//! File  := "NETPATH\n" version:u16 Frame*
//! Frame := kind:u8 flags:u8 reserved:u16 length:u32 crc32:u32 payload[length]
//! ```
//! Integers are little endian; the checksum (CRC-32, IEEE 802.3) covers the eight bytes before it
//! and the payload as it stands in the file; in version 1 the payload alone. Payloads are
//! zstd-compressed. Every frame is written whole and at once, so that a file whose writer was killed,
//! or whose disk was full, is good up to its last whole frame.
//!
//! | kind | payload |
//! | --- | --- |
//! | 1 session | JSON, [`crate::session::Session`]; once more where it changes |
//! | 2 events | the watermark (u64, ns), then chunks, each after its length (u32) |
//! | 3 ending | JSON, [`crate::session::Ending`] |

mod read;
mod write;

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use netpath_common::wire;
use thiserror::Error;

pub use read::{Reader, Step};
pub use write::Writer;

const MAGIC: [u8; 8] = *b"NETPATH\n";
/// The version of the file's form.
pub const VERSION: u16 = 2;
/// The oldest one that can be read.
const VERSION_OLDEST: u16 = 1;
const FRAME_HEADER: usize = 12;
/// Of these, how many stand before the checksum.
const SUMMED: usize = 8;
/// A frame is never longer than this when it is unpacked, bytes.
const FRAME_MAX: usize = 64 << 20;

/// The checksum of a frame with this header.
fn checksum(version: u16, header: &[u8; FRAME_HEADER], packed: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    if version > 1 {
        sum.update(&header[..SUMMED]);
    }
    sum.update(packed);
    sum.finalize()
}

/// Whether a file begins like a recording.
pub fn is_one(path: &Path) -> Result<bool, RecordingError> {
    let io = |source| RecordingError::Io { what: "read", path: path.to_owned(), source };
    let mut head = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(io)?;
    Ok(head == MAGIC)
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Session = 1,
    Events = 2,
    Ending = 3,
}

impl Kind {
    fn from_number(n: u8) -> Option<Self> {
        [Self::Session, Self::Events, Self::Ending].into_iter().find(|k| *k as u8 == n)
    }
}

#[derive(Debug, Error)]
pub enum RecordingError {
    #[error("cannot {what} {path}: {source}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is not a netpath recording (it begins with other bytes)")]
    NotOne { path: PathBuf },
    #[error("{path} has version {found}; this netpath reads {VERSION_OLDEST} to {VERSION}")]
    Version { path: PathBuf, found: u16 },
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged { path: PathBuf, offset: u64, what: String },
    #[error("{path} holds no session: the recording ended before it began")]
    Empty { path: PathBuf },
    #[error(
        "{path} has events of ABI {found}; this netpath reads {} to {}",
        wire::ABI_OLDEST,
        wire::ABI
    )]
    Abi { path: PathBuf, found: u16 },
}

#[cfg(test)]
mod tests;
