//! Writes copies: a job that is retried, released, buried or lost is written again, and then its original acknowledged.
//!
//! One task does it for each channel, many at a time. It goes on when nobody waits for it any more: a copy that was begun
//! is never written a second time, whoever asks again waits for the same one.

use std::{sync::Arc, time::Duration};

use stream_core::{Outcome as Verdict, Priority, QueueName};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    arrivals::Tag,
    delay,
    fault::{Failure, Fault, Outcome},
    intake::Intake,
    locked::locked,
    message::{Change, Message},
    publish::{Fate, Parcel, publish},
    rounds::Rounds,
    stock::Stage,
    topology::Part,
};

/// Copies that are written together.
const BATCH: usize = 500;
/// When a copy that could not be written is tried again, where nobody waits for it.
const AGAIN: Duration = Duration::from_secs(1);

/// A delivery to be ended by a copy.
#[derive(Debug)]
pub(crate) struct Errand {
    tag: Tag,
    copy: Copy,
    answer: Option<oneshot::Sender<Outcome<()>>>,
}

/// What the copy is for.
#[derive(Debug, Clone)]
enum Copy {
    Retry { after: Duration, error: String },
    Release { after: Duration },
    Bury { error: String },
    Lost,
}

impl Errand {
    /// Ends a delivery as it was settled; whoever waits gets the answer. None for `Done`, which needs no copy.
    pub(crate) fn settle(tag: Tag, verdict: &Verdict, answer: oneshot::Sender<Outcome<()>>) -> Option<Self> {
        let copy = match verdict {
            Verdict::Done => return None,
            Verdict::Retry { after, error } => Copy::Retry { after: *after, error: error.clone() },
            Verdict::Release { after } => Copy::Release { after: *after },
            Verdict::Bury { error } => Copy::Bury { error: error.clone() },
        };
        Some(Self { tag, copy, answer: Some(answer) })
    }

    /// Ends a delivery that had no outcome.
    pub(crate) fn lost(tag: Tag) -> Self {
        Self { tag, copy: Copy::Lost, answer: None }
    }

    /// Gives back a delivery that was never handed out.
    pub(crate) fn hand_back(tag: Tag) -> Self {
        Self { tag, copy: Copy::Release { after: Duration::ZERO }, answer: None }
    }

    fn reply(self, answer: Outcome<()>) {
        if let Some(waiting) = self.answer {
            // Nobody may wait any more.
            let _: Result<(), _> = waiting.send(answer);
        }
    }
}

/// Runs until the channel has ended.
pub(crate) async fn copy(intake: Arc<Intake>, mut errands: mpsc::UnboundedReceiver<Errand>) {
    let mut batch = Vec::new();
    loop {
        let received = tokio::select! {
            received = errands.recv_many(&mut batch, BATCH) => received,
            () = ended(&intake) => 0,
        };
        if received == 0 {
            break;
        }
        copy_batch(&intake, std::mem::take(&mut batch)).await;
    }
    errands.close();
    while let Ok(errand) = errands.try_recv() {
        errand.reply(Err(Failure::lease_lost()));
    }
}

async fn ended(intake: &Intake) {
    loop {
        let mut news = std::pin::pin!(intake.news.notified());
        news.as_mut().enable();
        if locked(&intake.stock).stage == Stage::Over {
            return;
        }
        news.await;
    }
}

/// One errand with what it is about.
struct Task {
    errand: Errand,
    message: Arc<Message>,
    line: usize,
}

async fn copy_batch(intake: &Arc<Intake>, errands: Vec<Errand>) {
    let mut tasks = Vec::with_capacity(errands.len());
    for errand in errands {
        let found = locked(&intake.stock).message(errand.tag);
        match found {
            Some((message, line)) => tasks.push(Task { errand, message, line }),
            None => errand.reply(Err(Failure::lease_lost())),
        }
    }
    let outcomes = write(intake, &tasks).await;
    let (mut copied, mut failed) = (Vec::new(), Vec::new());
    for (task, outcome) in tasks.into_iter().zip(outcomes) {
        match outcome {
            Ok(()) => copied.push(task),
            Err(failure) => failed.push((task, failure)),
        }
    }
    let answered = {
        let mut tags: Vec<Tag> = copied.iter().map(|task| task.errand.tag).collect();
        let mut stock = locked(&intake.stock);
        for (task, _) in &failed {
            stock.keep(task.errand.tag, Instant::now() + AGAIN);
        }
        (!tags.is_empty()).then(|| intake.acknowledge(&mut stock, &mut tags))
    };
    failed.into_iter().for_each(|(task, failure)| task.errand.reply(Err(failure)));
    intake.poke.notify_one();
    intake.news.notify_waiters();
    if let Some(answered) = answered {
        // The next copies need not wait for the answer.
        tokio::spawn(async move {
            let answer = answered.await;
            copied.into_iter().for_each(|task| task.errand.reply(answer.clone()));
        });
    }
}

/// Writes the copies; what became of each.
async fn write(intake: &Arc<Intake>, tasks: &[Task]) -> Vec<Outcome<()>> {
    let removed =
        Failure::new(Fault::Away, "what the copy was to go to is removed as fast as it is declared");
    let mut rounds = Rounds::new(tasks.len(), &removed);
    while let Some(open) = rounds.next().await {
        if let Err(failure) = prepare(intake, open.iter().map(|at| &tasks[*at])).await {
            rounds.fail(&failure);
            break;
        }
        let parcels: Vec<Parcel<'_>> = open.iter().map(|at| parcel(intake, &tasks[*at])).collect();
        let fates = publish(&intake.channel, &parcels, intake.connection.config.call_timeout).await;
        if fates.iter().any(is_unanswered) {
            // Nobody knows whether these copies are there, and they stand in the way of all others: the channel ends, and
            // the broker has the originals again.
            intake.end();
        }
        if rounds.judge(fates) {
            intake.live.forget_all();
        }
    }
    rounds.outcomes()
}

fn is_unanswered(fate: &Fate) -> bool {
    matches!(fate, Fate::Failed(failure) if failure.fault == Fault::InDoubt && failure.source.is_none())
}

async fn prepare<'t>(intake: &Arc<Intake>, tasks: impl Iterator<Item = &'t Task>) -> Outcome<()> {
    intake.live.unblocked().await?;
    let parts: Vec<Part> = tasks.flat_map(|task| task.parts(intake)).collect();
    intake.connection.topology.ensure(&intake.live, parts).await
}

impl Task {
    fn parts(&self, intake: &Intake) -> Vec<Part> {
        let (queue, priority) = intake.line(self.line);
        match &self.errand.copy {
            Copy::Bury { .. } => vec![Part::Dead(queue.clone())],
            Copy::Retry { after, .. } | Copy::Release { after } => {
                way(queue, priority, delay::seconds(*after))
            }
            Copy::Lost => way(queue, priority, 0),
        }
    }
}

/// What a job passes that is to be ready after so many seconds.
pub(crate) fn way(queue: &QueueName, priority: Priority, seconds: u32) -> Vec<Part> {
    let mut parts = vec![Part::Ready(queue.clone(), priority)];
    if let Some(level) = delay::top_level(seconds) {
        parts.extend([Part::Delay(level), Part::Due(queue.clone(), priority)]);
    }
    parts
}

fn parcel<'t>(intake: &Intake, task: &'t Task) -> Parcel<'t> {
    let (queue, priority) = intake.line(task.line);
    let names = &intake.connection.topology.names;
    let (change, after) = match &task.errand.copy {
        Copy::Retry { after, error } => (Change::Retried(error.clone()), *after),
        Copy::Release { after } => (Change::None, *after),
        Copy::Lost => (Change::Lost, Duration::ZERO),
        Copy::Bury { error } => {
            let properties = task.message.changed(Change::Buried(error.clone(), priority));
            return Parcel {
                exchange: String::new(),
                key: names.dead(queue),
                body: &task.message.body,
                properties,
            };
        }
    };
    let properties = task.message.changed(change);
    let key = names.ready(queue, priority);
    match delay::top_level(delay::seconds(after)) {
        None => Parcel { exchange: String::new(), key, body: &task.message.body, properties },
        Some(level) => {
            let mut headers = properties.headers().clone().unwrap_or_default();
            delay::steer(&mut headers, delay::seconds(after), delay::TO_QUEUE);
            let properties = properties.with_headers(headers);
            Parcel { exchange: names.delay(level), key, body: &task.message.body, properties }
        }
    }
}
