//! The format of a segment: frames one after the other, nothing else.
//!
//! ```text
//! frame: length of the body u32 | CRC-32C of what follows u32 | timestamp i64 | body
//! ```
//!
//! All numbers are little-endian. A frame of zeros (a hole left by a crash) fails its checksum.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use crate::streams::{Append, ENTRY_BYTES_MAX, Entry};

const HEADER_BYTES: usize = 16;

/// An index holds the place of one entry in this many: a read skips fewer frames than that, and
/// the index of a segment of short lines takes about 10 KB.
const INDEXED_EVERY: u64 = 64;

const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Appends the entry's frame to `buffer` and returns the frame's length.
pub(super) fn encode(entry: &Append, buffer: &mut Vec<u8>) -> io::Result<u64> {
    let length = u32::try_from(entry.body.len()).map_err(io::Error::other)?;
    let checksum = checksum(entry.timestamp_ms, &entry.body);
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&checksum.to_le_bytes());
    buffer.extend_from_slice(&entry.timestamp_ms.to_le_bytes());
    buffer.extend_from_slice(&entry.body);
    Ok((HEADER_BYTES + entry.body.len()) as u64)
}

/// Reads the segment up to its end or its first incomplete or wrong frame.
pub(super) fn scan(file: &File) -> io::Result<Index> {
    let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, file);
    let mut index = Index::default();
    let mut body = Vec::new();
    while read_frame(&mut reader, &mut body)?.is_some() {
        index.push((HEADER_BYTES + body.len()) as u64);
    }
    Ok(index)
}

/// How much of a segment is known to be whole, and where its entries lie.
#[derive(Default)]
pub(super) struct Index {
    entries: u64,
    bytes: u64,
    places: Vec<u64>,
}

impl Index {
    pub fn entries(&self) -> u64 {
        self.entries
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn push(&mut self, frame_bytes: u64) {
        if self.entries.is_multiple_of(INDEXED_EVERY) {
            self.places.push(self.bytes);
        }
        self.entries += 1;
        self.bytes += frame_bytes;
    }

    /// How to read from `sequence` on, in the segment whose first entry is `first`.
    pub fn plan(&self, path: PathBuf, first: u64, sequence: u64) -> io::Result<Plan> {
        let nth = sequence - first;
        let place = usize::try_from(nth / INDEXED_EVERY).ok();
        let (place, skip) = match place.and_then(|place| self.places.get(place)) {
            Some(place) => (*place, nth % INDEXED_EVERY),
            None => (0, nth),
        };
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::Start(place))?;
        let whole = file.take(self.bytes - place);
        Ok(Plan { path, whole, skip, sequence })
    }
}

/// A read of one segment, bounded by what was whole when it was planned. The open file keeps its
/// bytes when the stream is deleted meanwhile.
pub(super) struct Plan {
    path: PathBuf,
    whole: Take<File>,
    skip: u64,
    sequence: u64,
}

impl Plan {
    /// Adds at most `limit` entries to `found`, and stops before a body that exceeds `bytes_left`
    /// unless it is the first of all. Returns whether the bytes sufficed.
    pub fn read(
        self,
        limit: usize,
        bytes_left: &mut usize,
        found: &mut Vec<Entry>,
    ) -> io::Result<bool> {
        let Self { path, whole, skip, sequence } = self;
        let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, whole);
        let mut body = Vec::new();
        for _ in 0..skip {
            read_whole_frame(&path, &mut reader, &mut body)?;
        }
        for sequence in (sequence..).take(limit) {
            let exhausted = reader.buffer().is_empty() && reader.get_ref().limit() == 0;
            if exhausted {
                break;
            }
            let timestamp_ms = read_whole_frame(&path, &mut reader, &mut body)?;
            if body.len() > *bytes_left && !found.is_empty() {
                return Ok(false);
            }
            *bytes_left = bytes_left.saturating_sub(body.len());
            found.push(Entry { sequence, timestamp_ms, body: std::mem::take(&mut body).into() });
        }
        Ok(true)
    }
}

/// Within what was found whole, a wrong frame means that the disk has changed it.
fn read_whole_frame(path: &Path, reader: &mut impl Read, body: &mut Vec<u8>) -> io::Result<i64> {
    read_frame(reader, body)?.ok_or_else(|| {
        let message = format!("`{}` has a damaged entry", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

/// The timestamp of the next frame, its body in `body`; `None` at the end or where no whole frame
/// follows.
fn read_frame(reader: &mut impl Read, body: &mut Vec<u8>) -> io::Result<Option<i64>> {
    let mut length = [0; 4];
    let mut stated = [0; 4];
    let mut timestamp = [0; 8];
    for part in [&mut length[..], &mut stated[..], &mut timestamp[..]] {
        if !fill(reader, part)? {
            return Ok(None);
        }
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > ENTRY_BYTES_MAX {
        return Ok(None);
    }
    body.clear();
    body.reserve_exact(length);
    if reader.take(length as u64).read_to_end(body)? < length {
        return Ok(None);
    }
    let timestamp_ms = i64::from_le_bytes(timestamp);
    let whole = checksum(timestamp_ms, body) == u32::from_le_bytes(stated);
    Ok(whole.then_some(timestamp_ms))
}

/// Whether there were enough bytes.
fn fill(reader: &mut impl Read, part: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(part) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn checksum(timestamp_ms: i64, body: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&timestamp_ms.to_le_bytes());
    digest.update(body);
    // The checksum of a 32-bit algorithm is in the lower half.
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_crc32c() {
        // The check value of the catalogue is that of "123456789", of which eight bytes go first.
        assert_eq!(checksum(i64::from_le_bytes(*b"12345678"), b"9"), 0xe306_9283);
    }

    #[test]
    fn frame_of_zeros_is_not_whole() {
        let mut body = Vec::new();
        assert_eq!(read_frame(&mut [0; 64].as_slice(), &mut body).unwrap(), None);
    }
}
