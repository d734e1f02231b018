//! The SHA-256 of every file below a folder, one job per file, and books that balance.
//!
//! Run it with `cargo run --example checksums -- DIR`. The sums go to standard output, in the form of
//! `sha256sum`; everything else goes to standard error. A file that cannot be read is tried three
//! times, then it is a dead letter. The exit code is not 0 if a file is not accounted for.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fmt::Write as _,
    fs::{self, DirEntry, File},
    io::{self, BufWriter, Write as _},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{self, ExitCode},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stream_core::{
    Backoff, Consumer, Context, DeadLetter, Handler, Handlers, Job, JobError, JobResult, QueueManager,
};
use stream_database::DatabaseDriver;

#[derive(Serialize, Deserialize)]
struct Checksum {
    /// Not a `PathBuf`: serde refuses paths that are no UTF-8, and folders hold such names.
    path: OsString,
}

impl Job for Checksum {
    const NAME: &'static str = "checksum";
    const QUEUE: &'static str = "checksums";
    const MAX_ATTEMPTS: u32 = 3;
    const BACKOFF: Backoff = Backoff::fixed(Duration::from_millis(100));
}

/// The sums so far, by path: a job that runs twice writes the same entry again.
#[derive(Default)]
struct Sums(Mutex<BTreeMap<PathBuf, String>>);

impl Sums {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<PathBuf, String>> {
        self.0.lock().expect("nothing panics while it holds the lock")
    }
}

impl Handler<Checksum> for Sums {
    async fn handle(&self, job: Checksum, _cx: Context) -> JobResult {
        let path = PathBuf::from(job.path);
        let file = path.clone();
        let sum = tokio::task::spawn_blocking(move || sha256(&file)).await??;
        self.entries().insert(path, sum);
        Ok(())
    }
}

/// The sum of a file in hexadecimal.
fn sha256(path: &Path) -> Result<String, JobError> {
    // It may have become a pipe since it was listed, and opening a pipe waits for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(JobError::bury("no longer a file"));
    }
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to memory cannot fail");
        text
    }))
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let [folder] = arguments.as_slice() else {
        eprintln!("usage: checksums DIR");
        return ExitCode::from(2);
    };
    match run(Path::new(folder)).await {
        Ok(Books::Balance) => ExitCode::SUCCESS,
        Ok(Books::AreOpen) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every file is accounted for.
enum Books {
    Balance,
    AreOpen,
}

async fn run(folder: &Path) -> Result<Books> {
    let found = find(folder)?;
    let store = Store::new();
    let driver = DatabaseDriver::connect(&store.address()).await?;
    driver.migrate().await?;
    let queue = QueueManager::new(driver);
    let listed = push_all(&queue, found.files).await?;

    let sums = Arc::new(Sums::default());
    let handlers = Handlers::new().register::<Checksum>(sums.clone());
    let workers = thread::available_parallelism().map_or(2, NonZeroUsize::get);
    let consumer = Consumer::builder(&queue, handlers).queues([Checksum::QUEUE]).workers(workers);
    let drained = consumer.drain_all().await?;

    print(&sums.entries())?;
    let dead = tell_dead_letters(&queue).await?;
    let depth = queue.depth(Checksum::QUEUE).await?;
    let (waiting, sums) = (depth.ready + depth.delayed + depth.reserved, sums.entries().len() as u64);
    eprintln!("{listed} files listed = {} done + {dead} dead + {waiting} waiting", drained.done);
    eprintln!("{workers} workers, attempts repeated: {}", drained.retried);
    eprintln!("passed over: links to folders: {}, pipes, sockets, devices: {}", found.links, found.special);
    for folder in &found.unreadable {
        eprintln!("not accounted for, the folder cannot be listed: {folder}");
    }
    let balances = listed == drained.done + dead && waiting == 0 && sums == drained.done;
    if !balances {
        eprintln!("the books do not balance: there are {sums} sums");
    }
    Ok(if balances && found.unreadable.is_empty() { Books::Balance } else { Books::AreOpen })
}

/// A file for the jobs of this run alone, since the sums of an earlier one are gone with it.
struct Store(PathBuf);

impl Store {
    fn new() -> Self {
        Self(env::temp_dir().join(format!("checksums-{}.db", process::id())))
    }

    fn address(&self) -> String {
        format!("sqlite:{}", self.0.display())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            // One that is not there is what was wanted.
            let _ = fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

/// What is below a folder.
#[derive(Default)]
struct Found {
    /// Regular files, and links that lead to no folder, perhaps nowhere.
    files: Vec<PathBuf>,
    links: u64,
    special: u64,
    /// Folders that cannot be listed, and why.
    unreadable: Vec<String>,
}

fn find(root: &Path) -> Result<Found> {
    let mut found = Found::default();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        match entries {
            Ok(entries) => entries.iter().for_each(|entry| found.enter(entry, &mut folders)),
            Err(error) if folder == root => {
                return Err(error).with_context(|| format!("cannot list the folder {}", root.display()));
            }
            Err(error) => found.unreadable.push(format!("{}: {error}", folder.display())),
        }
    }
    Ok(found)
}

impl Found {
    /// Sorts one entry of a folder in. A link to a folder is not followed: it may lead back up.
    fn enter(&mut self, entry: &DirEntry, folders: &mut Vec<PathBuf>) {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { return self.files.push(path) };
        if kind.is_dir() {
            return folders.push(path);
        }
        // A link that leads nowhere has no metadata: its job will say so.
        match fs::metadata(&path) {
            Ok(target) if target.is_dir() => self.links += 1,
            Ok(target) if !target.is_file() => self.special += 1,
            _ => self.files.push(path),
        }
    }
}

/// Pushes a job for each file, many in a call; says how many were stored.
async fn push_all(queue: &QueueManager, files: Vec<PathBuf>) -> Result<u64> {
    let mut stored = 0;
    for batch in files.chunks(queue.capabilities().batch) {
        let jobs = batch.iter().map(|path| Checksum { path: path.clone().into() });
        stored += queue.push_many(jobs).await?.len() as u64;
    }
    Ok(stored)
}

fn print(sums: &BTreeMap<PathBuf, String>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for (path, sum) in sums {
        write!(out, "{sum}  ")?;
        // The name as it is, also if it is no UTF-8.
        out.write_all(path.as_os_str().as_encoded_bytes())?;
        writeln!(out)?;
    }
    out.flush()
}

/// Prints the dead letters page by page, with their reasons; says how many there are.
async fn tell_dead_letters(queue: &QueueManager) -> Result<u64> {
    const PAGE: usize = 100;
    let dead_letters = queue.dead_letters(Checksum::QUEUE);
    let (mut told, mut last) = (0, None);
    loop {
        let page = dead_letters.list(last.as_ref(), PAGE).await?;
        page.iter().for_each(|letter| eprintln!("{}", reason(letter)));
        told += page.len() as u64;
        match page.into_iter().last() {
            Some(letter) => last = Some(letter.id),
            None => return Ok(told),
        }
    }
}

fn reason(letter: &DeadLetter) -> String {
    let job = letter.envelope.as_ref().ok().and_then(|envelope| envelope.decode::<Checksum>().ok());
    let path = job.map_or_else(|| "?".to_owned(), |job| Path::new(&job.path).display().to_string());
    format!("given up on {path} after {} attempts: {}", letter.attempt, letter.error)
}
