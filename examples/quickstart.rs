//! The life of a few jobs in a file: in time, late, repeated, given up on and rescued.
//!
//! Run it with `cargo run --example quickstart`. It needs no server and ends by itself. Kill it at any time
//! and run it again: it goes on where it was.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use stream_core::{
    Backoff, Consumer, Context, Depth, Event, Handler, Handlers, Job, JobError, JobResult, Outcome, Priority,
    QueueManager,
};
use stream_database::DatabaseDriver;

/// Where the jobs are: SQLite makes the file if it is not there.
const STORE: &str = "sqlite:quickstart.db";
/// A job in hand when the program is killed comes back after this, so it is short here; 30 seconds unless set.
const LEASE: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
struct SendEmail {
    to: String,
    about: String,
}

impl Job for SendEmail {
    const NAME: &'static str = "send_email";
}

#[derive(Serialize, Deserialize)]
struct FetchRate {
    currency: String,
}

impl Job for FetchRate {
    const NAME: &'static str = "fetch_rate";
    const BACKOFF: Backoff = Backoff::fixed(Duration::from_millis(200));
}

#[derive(Serialize, Deserialize)]
struct ChargeCard {
    invoice: u32,
}

impl Job for ChargeCard {
    const NAME: &'static str = "charge_card";
}

/// What the handlers share: the application.
struct Shop {
    clock: Clock,
    card_is_valid: AtomicBool,
}

impl Handler<SendEmail> for Shop {
    async fn handle(&self, job: SendEmail, cx: Context) -> JobResult {
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.clock.say(&cx, &format!("sent to {}: {}", job.to, job.about));
        Ok(())
    }
}

impl Handler<FetchRate> for Shop {
    async fn handle(&self, job: FetchRate, cx: Context) -> JobResult {
        if cx.attempt() < 3 {
            return Err(JobError::retry("the bank does not answer"));
        }
        self.clock.say(&cx, &format!("got the rate of {} in attempt {}", job.currency, cx.attempt()));
        Ok(())
    }
}

impl Handler<ChargeCard> for Shop {
    async fn handle(&self, job: ChargeCard, cx: Context) -> JobResult {
        if !self.card_is_valid.load(Ordering::Relaxed) {
            // Trying again cannot help until somebody has done something about it.
            return Err(JobError::bury("the card has expired"));
        }
        self.clock.say(&cx, &format!("charged invoice {}", job.invoice));
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let clock = Clock(Instant::now());
    let driver = DatabaseDriver::connect(STORE).await?;
    driver.migrate().await?;
    let queue = QueueManager::new(driver);
    println!("The jobs are in {STORE}. Kill this program at any time and run it again: it goes on.");
    let (jobs, whence) = match left_behind(&queue).await? {
        0 => (push_all(&queue).await?, "pushed"),
        left => (left, "found"),
    };

    let shop = Arc::new(Shop { clock, card_is_valid: AtomicBool::new(false) });
    let handlers = Handlers::new()
        .register::<SendEmail>(shop.clone())
        .register::<FetchRate>(shop.clone())
        .register::<ChargeCard>(shop.clone());
    // One worker, so that the lines below stand in the order in which the queue gives out its jobs.
    let consumer = Consumer::builder(&queue, handlers)
        .workers(1)
        .lease(LEASE)
        .on_event(move |event| clock.tell_failure(event));

    println!("Working until nothing waits, delayed jobs and retries included:");
    let first = consumer.clone().drain_all().await?;

    println!("\nThe dead letters:");
    let dead_letters = queue.dead_letters("default");
    let letters = dead_letters.list(None, 10).await?;
    for letter in letters {
        let job: ChargeCard = letter.envelope?.decode()?;
        println!("  invoice {} was given up on in attempt {}: {}", job.invoice, letter.attempt, letter.error);
    }
    println!("The customer enters a new card, and the letters go back into the queue:");
    shop.card_is_valid.store(true, Ordering::Relaxed);
    let rescued = dead_letters.retry_all().await?;
    let second = consumer.drain_all().await?;

    let done = first.done + second.done;
    let (retried, buried) = (first.retried + second.retried, first.buried + second.buried);
    let (waiting, dead) = (queue.size("default").await?, dead_letters.count().await?);
    println!("\n{jobs} jobs {whence}, {done} done, {waiting} waiting, {dead} dead.");
    println!("On the way: {retried} attempts repeated, {buried} buried, {rescued} rescued.");
    ensure!(jobs == done && waiting == 0 && dead == 0, "a job is missing");
    Ok(queue.close().await?)
}

/// How many jobs an earlier run has left that was killed.
async fn left_behind(queue: &QueueManager) -> Result<u64> {
    let depth = queue.depth("default").await?;
    let dead = queue.dead_letters("default").count().await?;
    let left = depth.ready + depth.delayed + depth.reserved + dead;
    if left > 0 {
        let Depth { ready, delayed, reserved, .. } = depth;
        println!(
            "A run was killed: it left {ready} ready, {delayed} delayed, {reserved} in hand, {dead} dead."
        );
    }
    Ok(left)
}

/// Pushes the jobs of this example and says how many.
async fn push_all(queue: &QueueManager) -> Result<u64> {
    let email = |to: &str, about: &str| SendEmail { to: to.to_owned(), about: about.to_owned() };
    let pushes = [
        queue.push(email("Ada", "your order")),
        queue.push(email("Bob", "tomorrow's visit")).delay(Duration::from_secs(5)),
        queue.push(email("Cleo", "your new password")).with_priority(Priority::High),
        queue.push(FetchRate { currency: "EUR".to_owned() }),
        queue.push(ChargeCard { invoice: 17 }),
    ];
    let mut pushed = 0;
    for push in pushes {
        push.await?;
        pushed += 1;
    }
    println!("Pushed: to Ada; to Bob, in five seconds; to Cleo, high priority; the euro; invoice 17.");
    Ok(pushed)
}

/// Prints what happens, with the time since the start.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn line(self, text: &str) {
        println!("  {:>4} ms  {text}", self.0.elapsed().as_millis());
    }

    fn say(self, cx: &Context, text: &str) {
        self.line(&format!("{:<12} {text}", cx.envelope().name));
    }

    /// What became of a job that failed; the store has answered when this is called.
    fn tell_failure(self, event: &Event<'_>) {
        let Event::Settled { cx, outcome, .. } = event else { return };
        match outcome {
            Outcome::Retry { after, error } => {
                let (attempt, after) = (cx.attempt(), after.as_millis());
                self.say(cx, &format!("attempt {attempt} failed: {error}; again in {after} ms"));
            }
            Outcome::Bury { error } => self.say(cx, &format!("given up on: {error}")),
            _ => {}
        }
    }
}
