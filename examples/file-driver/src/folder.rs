//! One queue's folder: its lock, its names, and the few changes that happen or do not.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use stream_core::QueueName;

use crate::{
    Durability, FileConfig,
    content::Content,
    entry::{Entry, Moment, now},
};

const LOCK: &str = "lock";
/// A job before it has a name. One is enough, since it is written under the lock; what a killed process
/// left there is overwritten.
const NAMELESS: &str = "nameless";

/// The folder of one queue while nobody else changes it.
pub(crate) struct Folder {
    path: PathBuf,
    durability: Durability,
    /// By key.
    pub(crate) jobs: BTreeMap<Moment, Entry>,
    latest: Moment,
    /// Given back when it is closed, which the system does for a process that dies.
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and locks it.
    pub(crate) fn make(config: &FileConfig, queue: &QueueName) -> io::Result<Self> {
        let path = path_of(&config.folder, queue);
        for path in [&config.folder, &path] {
            match fs::create_dir(path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Self::lock(path, config.durability)
    }

    /// Locks the folder; none if nothing was ever pushed.
    pub(crate) fn find(config: &FileConfig, queue: &QueueName) -> io::Result<Option<Self>> {
        match Self::lock(path_of(&config.folder, queue), config.durability) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            locked => locked.map(Some),
        }
    }

    fn lock(path: PathBuf, durability: Durability) -> io::Result<Self> {
        let lock = File::options().write(true).create(true).truncate(false).open(path.join(LOCK))?;
        lock.lock()?;
        let mut folder = Self { path, durability, jobs: BTreeMap::new(), latest: 0, _lock: lock };
        for entry in list(&folder.path)? {
            folder.latest = folder.latest.max(entry.key).max(entry.written);
            let Some(other) = folder.jobs.insert(entry.key, entry) else { continue };
            // Whoever wrote the job anew was killed before it removed the old file.
            let (stays, goes) = if other.written > entry.written { (other, entry) } else { (entry, other) };
            fs::remove_file(folder.path.join(goes.file_name()))?;
            folder.jobs.insert(stays.key, stays);
        }
        Ok(folder)
    }

    /// A moment that the folder has not seen, though the clock may have been set back.
    pub(crate) fn fresh_moment(&mut self) -> Moment {
        self.latest = now().max(self.latest + 1);
        self.latest
    }

    /// Writes a job, or writes it anew: it is whole before it has its name.
    pub(crate) fn write(&mut self, entry: Entry, content: &Content) -> io::Result<()> {
        let nameless = self.path.join(NAMELESS);
        let mut file = File::create(&nameless)?;
        file.write_all(&content.to_bytes())?;
        if self.durability == Durability::Disk {
            file.sync_data()?;
        }
        fs::rename(nameless, self.path.join(entry.file_name()))?;
        if let Some(old) = self.jobs.insert(entry.key, entry) {
            // The original goes last. If it stays, for one reason or another, the next who locks removes it.
            let _: io::Result<()> = fs::remove_file(self.path.join(old.file_name()));
        }
        Ok(())
    }

    /// Moves a job on, its content as it is.
    pub(crate) fn rename(&mut self, entry: Entry) -> io::Result<()> {
        let Some(old) = self.jobs.get(&entry.key) else { return Err(ErrorKind::NotFound.into()) };
        fs::rename(self.path.join(old.file_name()), self.path.join(entry.file_name()))?;
        self.jobs.insert(entry.key, entry);
        Ok(())
    }

    pub(crate) fn remove(&mut self, entry: &Entry) -> io::Result<()> {
        fs::remove_file(self.path.join(entry.file_name()))?;
        self.jobs.remove(&entry.key);
        Ok(())
    }

    pub(crate) fn read(&self, entry: &Entry) -> io::Result<Content> {
        fs::read(self.path.join(entry.file_name())).map(Content::read)
    }

    /// Puts the names on the disk: until then a power cut may undo them.
    pub(crate) fn confirm(&self) -> io::Result<()> {
        self.sync(&self.path)
    }

    /// Puts the folder itself on the disk, and the one around it.
    pub(crate) fn confirm_place(&self) -> io::Result<()> {
        self.path.ancestors().skip(1).take(2).try_for_each(|folder| self.sync(folder))
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        match self.durability {
            // The folder around `jobs` is the working one, and has no name.
            Durability::Disk if folder.as_os_str().is_empty() => sync_folder(Path::new(".")),
            Durability::Disk => sync_folder(folder),
            Durability::System => Ok(()),
        }
    }
}

/// The jobs of a queue as they stand, without its lock; one may be missing or there twice meanwhile.
pub(crate) fn glance(config: &FileConfig, queue: &QueueName) -> io::Result<Vec<Entry>> {
    match list(&path_of(&config.folder, queue)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

fn list(path: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for file in fs::read_dir(path)? {
        entries.extend(file?.file_name().to_str().and_then(Entry::read));
    }
    Ok(entries)
}

/// Where case is ignored, `a` and `A` would be one folder: capitals are marked.
fn path_of(root: &Path, queue: &QueueName) -> PathBuf {
    let mut name = String::new();
    for letter in queue.as_str().chars() {
        if letter.is_ascii_uppercase() {
            name.push('+');
        }
        name.push(letter);
    }
    root.join(name)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Other systems cannot be asked to.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
