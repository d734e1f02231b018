//! The books of a test: what was pushed, against what was done, is dead or still waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use stream_core::JobId;

/// A page of the ledger; each is a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page {
    /// About to be pushed.
    Intended,
    /// The push was answered.
    Pushed,
    /// The job ran and is about to be settled as done.
    Done,
    /// The job ran and is about to be buried.
    Buried,
    /// The settlement was answered `LeaseLost`.
    Late,
}

impl Page {
    const fn file(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Pushed => "pushed",
            Self::Done => "done",
            Self::Buried => "buried",
            Self::Late => "late",
        }
    }
}

/// A folder of job ids that several processes append to and that outlives each of them.
#[derive(Debug, Clone)]
pub struct Ledger {
    folder: PathBuf,
}

impl Ledger {
    /// The ledger in this folder, which must exist.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends ids to a page; a process that is killed has written all of them or none.
    ///
    /// # Errors
    /// Those of the file.
    pub fn append(&self, page: Page, ids: &[JobId]) -> io::Result<()> {
        let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(self.folder.join(page.file()))?;
        // One call: the system appends it as a whole.
        file.write_all(lines.as_bytes())
    }

    /// The ids of a page in the order in which they were written; none if nobody has written it.
    ///
    /// # Errors
    /// Those of the file, and `InvalidData` for a line that is no id.
    pub fn read(&self, page: Page) -> io::Result<Vec<JobId>> {
        let text = match fs::read_to_string(self.folder.join(page.file())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let ids = text
            .lines()
            .map(|line| line.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)));
        ids.collect()
    }
}

/// Every id that a test knows of, by where it was found at the end.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Books {
    /// May have been pushed.
    pub intended: Vec<JobId>,
    /// Were certainly stored.
    pub pushed: Vec<JobId>,
    /// Ran to their end, once per run.
    pub done: Vec<JobId>,
    /// Are dead letters.
    pub dead: Vec<JobId>,
    /// Are still in the queue.
    pub waiting: Vec<JobId>,
}

impl Books {
    /// Counts what is lost, what ran twice, and what nobody has pushed.
    pub fn balance(&self) -> Balance {
        let mut copies = BTreeMap::<JobId, u64>::new();
        for id in self.done.iter().chain(&self.dead).chain(&self.waiting) {
            *copies.entry(*id).or_default() += 1;
        }
        let pushed: BTreeSet<_> = self.pushed.iter().copied().collect();
        let intended: BTreeSet<_> = self.intended.iter().copied().collect();
        Balance {
            pushed: pushed.len() as u64,
            done: self.done.len() as u64,
            dead: self.dead.len() as u64,
            waiting: self.waiting.len() as u64,
            duplicates: copies.values().map(|copies| copies - 1).sum(),
            lost: pushed.into_iter().filter(|id| !copies.contains_key(id)).collect(),
            strangers: copies.into_keys().filter(|id| !intended.contains(id)).collect(),
        }
    }
}

/// What the books say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Balance {
    /// Jobs whose push was answered.
    pub pushed: u64,
    /// Runs that came to their end.
    pub done: u64,
    /// Dead letters.
    pub dead: u64,
    /// Jobs still in the queue.
    pub waiting: u64,
    /// Runs, letters and waiting copies beyond the first of each job.
    pub duplicates: u64,
    /// Pushed, and found nowhere.
    pub lost: Vec<JobId>,
    /// Found, and pushed by nobody.
    pub strangers: Vec<JobId>,
}

impl Balance {
    /// Asserts that no job is lost or unknown and that at most `duplicates_max` ran twice.
    ///
    /// # Panics
    /// If the books do not balance.
    pub fn assert_balanced(&self, duplicates_max: u64) {
        assert!(self.lost.is_empty(), "{} jobs are lost: {:?}; {self}", self.lost.len(), self.lost);
        assert!(self.strangers.is_empty(), "jobs that nobody pushed: {:?}; {self}", self.strangers);
        assert!(
            self.duplicates <= duplicates_max,
            "more duplicates than the {duplicates_max} that kills explain; {self}"
        );
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pushed, done, dead, waiting, duplicates, lost, .. } = self;
        let lost = lost.len();
        write!(
            f,
            "{pushed} pushed = {done} done + {dead} dead + {waiting} waiting - {duplicates} twice + {lost} lost"
        )
    }
}
