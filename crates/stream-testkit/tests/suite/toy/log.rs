//! The file: length, checksum and body of one change after the other, guarded by the file's lock.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::state::Change;

/// Length and checksum.
const HEAD: usize = 4 + 8;

pub(super) struct Log {
    file: File,
    /// Up to here it was read or written.
    end: u64,
}

impl Log {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Self { file, end: 0 })
    }

    /// Whether others have written, or were killed while they did.
    pub(super) fn has_grown(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() != self.end)
    }

    /// Keeps other processes out until `unlock`; a killed process is unlocked by the system.
    pub(super) fn lock(&self) -> io::Result<()> {
        self.file.lock()
    }

    pub(super) fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    /// The changes of others since the last call; cuts off what a killed process left unfinished.
    pub(super) fn read_tail(&mut self) -> io::Result<Vec<Change>> {
        if !self.has_grown()? {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.read_to_end(&mut bytes)?;
        let (mut changes, mut rest) = (Vec::new(), &bytes[..]);
        while let Some((change, after)) = decode(rest) {
            changes.push(change);
            rest = after;
        }
        self.end += (bytes.len() - rest.len()) as u64;
        if !rest.is_empty() {
            self.file.set_len(self.end)?;
        }
        Ok(changes)
    }

    /// The next `read_tail` begins at the first change.
    pub(super) fn rewind(&mut self) {
        self.end = 0;
    }

    /// Writes changes behind the last one; all or nothing unless the process is killed.
    pub(super) fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        let mut bytes = Vec::new();
        changes.iter().for_each(|change| encode(change, &mut bytes));
        self.file.seek(SeekFrom::Start(self.end))?;
        if let Err(error) = self.file.write_all(&bytes) {
            self.file.set_len(self.end)?;
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(())
    }
}

fn encode(change: &Change, into: &mut Vec<u8>) {
    let body = rmp_serde::to_vec(change).expect("a change can be written");
    into.extend(u32::try_from(body.len()).expect("a change is small").to_le_bytes());
    into.extend(checksum(&body).to_le_bytes());
    into.extend(body);
}

fn decode(bytes: &[u8]) -> Option<(Change, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (len, sum) = head.split_at(4);
    let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    let (body, rest) = rest.split_at_checked(len)?;
    if checksum(body).to_le_bytes() != sum {
        return None;
    }
    Some((rmp_serde::from_slice(body).ok()?, rest))
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
