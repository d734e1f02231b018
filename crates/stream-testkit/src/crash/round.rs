//! One test: start, kill, start again, stop, count.

use std::{
    collections::{BTreeSet, VecDeque},
    env, fs,
    path::PathBuf,
    process, slice,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use stream_core::{
    DeadLetter, Delivery, Driver, Fence, JobId, Listing, Outcome, Precision, QueueName, Reserve, Result,
    Settlement,
};
use tokio::runtime::Runtime;

use super::{
    CrashBackend, KillPoint,
    child::{BATCH, IN_HAND, LEASE},
    orders::{Orders, Role},
    process::{COMPLAINTS, End, Process, Troupe},
};
use crate::{
    Backend, Skip,
    ledger::{Books, Ledger, Page},
    random::SplitMix64,
};

/// When processes are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moment {
    /// At a named point, by themselves.
    At(KillPoint),
    /// At any time, from outside.
    Random,
}

/// One run of a producer and two workers, some of which are killed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Round {
    /// When processes are killed.
    pub moment: Moment,
    /// Decides which pass, process and time it is.
    pub seed: u64,
    /// How many kills; each is followed by a new process in the same part.
    pub kills: u32,
}

/// Kills at a named point; eight points make 24.
const KILLS: u32 = 3;
/// Kills at random moments, which are cheaper.
const RANDOM_KILLS: u32 = 8;
/// The highest pass of a kill point at which a process dies.
const PASS_MAX: u64 = 4;
/// Milliseconds between two kills from outside.
const GAP_MS: (u64, u64) = (30, 150);
const POLL: Duration = Duration::from_millis(2);
/// The whole test; a few seconds, but on stores that are slow to miss a consumer.
const LIMIT: Duration = Duration::from_secs(60);
/// A child that was told to finish has this long.
const FINISH_LIMIT: Duration = Duration::from_secs(10);
/// How many dead letters are listed at once.
const LETTERS: usize = 100;

impl Round {
    /// The usual number of kills, with a seed of its own for each moment; the environment's
    /// `STREAM_TEST_SEED` and `STREAM_TEST_KILLS` win.
    pub fn new(moment: Moment) -> Self {
        let (seed, kills) = match moment {
            Moment::At(point) => (point as u64 + 1, KILLS),
            Moment::Random => (100, RANDOM_KILLS),
        };
        let number = |variable| env::var(variable).ok().map(|text| text.parse::<u64>().expect("a number"));
        let kills = number("STREAM_TEST_KILLS").map_or(kills, |kills| kills as u32);
        Self { moment, seed: number("STREAM_TEST_SEED").unwrap_or(seed), kills }
    }

    /// Sets the seed.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the number of kills.
    #[must_use]
    pub const fn kills(mut self, kills: u32) -> Self {
        self.kills = kills;
        self
    }
}

/// Runs one round and compares the books; `test` is the full name of the test.
///
/// The entry of child processes is found beside it, as [`crash!`](crate::crash!) puts it there.
///
/// # Panics
/// If a job is lost, if more ran twice than the kills explain, or if a child fails on its own.
pub fn crash_round<B, S>(test: &str, setup: impl FnOnce() -> S, round: Round)
where
    B: CrashBackend,
    S: Future<Output = Result<B, Skip>>,
{
    let test = test.split_once("::").map_or(test, |(_crate, path)| path);
    if let Some(play) = Play::open(test, setup, round) {
        play.run(test);
    }
}

impl Play {
    /// Makes everything ready; none if the test was skipped. `test` has no crate before it.
    pub(super) fn open<B, S>(test: &str, setup: impl FnOnce() -> S, round: Round) -> Option<Self>
    where
        B: CrashBackend,
        S: Future<Output = Result<B, Skip>>,
    {
        let module = test.rsplit_once("::").map_or("", |(module, _)| module);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let backend = match runtime.block_on(setup()) {
            Ok(backend) => backend,
            Err(skip) => {
                skip.report(test);
                return None;
            }
        };
        let troupe =
            Troupe { entry: format!("{module}::entry_of_child_processes"), variables: backend.child_env() };
        let driver = runtime.block_on(backend.connect()).expect("the test connects");
        let (folder, queue) = Folder::new(test);
        let backend = Box::new(backend);
        Some(Self {
            runtime,
            driver,
            folder,
            queue,
            troupe,
            round,
            ends: Instant::now() + LIMIT,
            _backend: backend,
        })
    }
}

/// The folder of the ledger; kept, and its complaints shown, if the test fails.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A fresh folder and a queue with the same name.
    fn new(test: &str) -> (Self, QueueName) {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as u64);
        let last = test.rsplit_once("::").map_or(test, |(_, last)| last);
        let last: String = last.chars().rev().take(16).collect::<Vec<_>>().into_iter().rev().collect();
        let name = format!("c{:x}-{:x}-{last}", process::id(), now & 0xff_ffff_ffff);
        let path = env::temp_dir().join(&name);
        fs::create_dir_all(&path).expect("the folder is made");
        (Self { path }, QueueName::new(name).expect("legal"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            let complaints = fs::read_to_string(self.path.join(COMPLAINTS)).unwrap_or_default();
            eprintln!("the ledger is kept in {}; the children said:\n{complaints}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A place in the play, whoever has it at the moment.
pub(super) struct Part {
    role: Role,
    pub(super) process: Process,
}

pub(super) struct Play {
    pub(super) runtime: Runtime,
    pub(super) driver: Arc<dyn Driver>,
    folder: Folder,
    pub(super) queue: QueueName,
    troupe: Troupe,
    round: Round,
    pub(super) ends: Instant,
    /// What it keeps for the test, such as a folder, goes with it.
    _backend: Box<dyn Backend>,
}

impl Play {
    fn run(&self, test: &str) {
        let Round { moment, seed, kills } = self.round;
        eprintln!("{test}: {kills} kills from seed {seed}");
        let mut parts = match moment {
            Moment::At(point) => self.kill_at(point),
            Moment::Random => self.kill_from_outside(),
        };
        let mut workers = parts.split_off(1);
        self.finish(&mut parts);
        self.wait_until_all_is_done();
        self.finish(&mut workers);
        let waiting = self.runtime.block_on(self.drain());
        let late = self.read(Page::Late).len();
        let books = self.books(waiting);
        let balance = books.balance();
        eprintln!("{test}: {balance}; {late} late");
        let duplicates_max = match self.driver.capabilities().fence {
            // Its leases are no promise, so that nothing bounds how often a job runs.
            Fence::BestEffort => u64::MAX,
            // A kill repeats what its process had in hand; a lease that ended early repeats its job.
            _ => u64::from(kills) * BATCH.max(IN_HAND) as u64 + late as u64,
        };
        balance.assert_balanced(duplicates_max);
        self.runtime.block_on(self.clean());
    }

    pub(super) fn start(&self, role: Role, kill: Option<(KillPoint, u32)>) -> Part {
        let (queue, folder) = (self.queue.clone(), self.folder.path.clone());
        Part { role, process: self.troupe.start(&Orders { role, queue, folder, kill }) }
    }

    /// Lets processes kill themselves, each at a pass drawn from the seed, until all kills are done.
    fn kill_at(&self, point: KillPoint) -> Vec<Part> {
        let mut random = SplitMix64::new(self.round.seed);
        let passes = (0..self.round.kills).map(|_| (point, random.between(1, PASS_MAX) as u32));
        let mut passes: VecDeque<_> = passes.collect();
        let mut next = |role| if role == point.role() { passes.pop_front() } else { None };
        let roles = [Role::Producer, Role::Worker, Role::Worker];
        let mut parts: Vec<_> = roles.into_iter().map(|role| self.start(role, next(role))).collect();
        let mut kills = 0;
        while kills < self.round.kills {
            for part in &mut parts {
                match part.process.try_end() {
                    None => {}
                    Some(End::Killed) => {
                        kills += 1;
                        *part = self.start(part.role, next(part.role));
                    }
                    Some(end) => panic!("a {} ended on its own: {end:?}", part.role.as_str()),
                }
            }
            let wanted = self.round.kills;
            let is_late = Instant::now() > self.ends - LIMIT / 2;
            assert!(!is_late, "only {kills} of {wanted} kills {} came", point.as_str());
            thread::sleep(POLL);
        }
        parts
    }

    /// Kills one process after the other, at moments drawn from the seed.
    fn kill_from_outside(&self) -> Vec<Part> {
        let mut random = SplitMix64::new(self.round.seed);
        let roles = [Role::Producer, Role::Worker, Role::Worker];
        let mut parts: Vec<_> = roles.into_iter().map(|role| self.start(role, None)).collect();
        for _ in 0..self.round.kills {
            thread::sleep(Duration::from_millis(random.between(GAP_MS.0, GAP_MS.1)));
            let part = &mut parts[random.between(0, 2) as usize];
            let end = part.process.kill();
            assert_eq!(end, End::Killed, "a {} ended on its own", part.role.as_str());
            *part = self.start(part.role, None);
        }
        parts
    }

    pub(super) fn finish(&self, parts: &mut [Part]) {
        for part in parts {
            let end = part.process.finish(FINISH_LIMIT);
            assert_eq!(end, Some(End::Finished), "a {} did not finish", part.role.as_str());
        }
    }

    pub(super) fn read(&self, page: Page) -> Vec<JobId> {
        Ledger::at(&self.folder.path).read(page).expect("the ledger is read")
    }

    /// Waits until each pushed job is done or dead; what then still waits is counted as waiting.
    fn wait_until_all_is_done(&self) {
        let give_up = self.ends - LIMIT / 4;
        while !self.books(Vec::new()).balance().lost.is_empty() && Instant::now() < give_up {
            thread::sleep(POLL * 5);
        }
    }

    fn books(&self, waiting: Vec<JobId>) -> Books {
        let dead = match self.driver.capabilities().dead_letters {
            Listing::Exact => self.runtime.block_on(self.dead()).iter().map(id_of_letter).collect(),
            // The list does not show all: what the workers say has to be believed.
            _ => BTreeSet::from_iter(self.read(Page::Buried)).into_iter().collect(),
        };
        let (intended, pushed) = (self.read(Page::Intended), self.read(Page::Pushed));
        Books { intended, pushed, done: self.read(Page::Done), dead, waiting }
    }

    /// Takes whatever is left in the queue, until it is empty or nothing has come for two leases.
    async fn drain(&self) -> Vec<JobId> {
        let quiet = LEASE.max(self.driver.capabilities().lease.grain()) * 2;
        let subscription = self.driver.subscribe(slice::from_ref(&self.queue)).await.expect("subscribed");
        let (mut found, mut last) = (Vec::new(), Instant::now());
        while last.elapsed() < quiet && Instant::now() < self.ends && !self.is_empty().await {
            let taken = subscription.reserve(&self.queue, Reserve::new(LETTERS)).await.expect("reserved");
            if taken.is_empty() {
                subscription.ready(quiet / 10).await.expect("ready answers");
                continue;
            }
            let done: Vec<_> =
                taken.iter().map(|delivery| Settlement::new(delivery, &Outcome::Done)).collect();
            let answers = self.driver.settle(&self.queue, &done).await;
            assert!(answers.iter().all(Result::is_ok), "what is left can be settled: {answers:?}");
            found.extend(taken.iter().filter_map(Delivery::id));
            last = Instant::now();
        }
        subscription.close().await.expect("closed");
        found
    }

    pub(super) async fn is_empty(&self) -> bool {
        if self.driver.capabilities().depth != Precision::Exact {
            return false;
        }
        let depth = self.driver.depth(&self.queue).await.expect("depth answers");
        depth.ready + depth.delayed + depth.reserved == 0
    }

    pub(super) async fn dead(&self) -> Vec<DeadLetter> {
        let store = self.driver.dead_letters().expect("the connection lists its dead letters");
        let mut letters: Vec<DeadLetter> = Vec::new();
        loop {
            let last = letters.last().map(|letter| letter.id.clone());
            let page =
                store.list(&self.queue, last.as_ref(), LETTERS).await.expect("dead letters are listed");
            if page.is_empty() {
                return letters;
            }
            letters.extend(page);
        }
    }

    pub(super) async fn clean(&self) {
        self.driver.clear(&self.queue).await.expect("cleared");
        if let Some(dead) = self.driver.dead_letters() {
            dead.clear(&self.queue).await.expect("cleared");
        }
        self.driver.close().await.expect("closed");
    }
}

pub(super) fn id_of_letter(letter: &DeadLetter) -> JobId {
    letter.envelope.as_ref().expect("the letter holds the job as it was pushed").id
}
