//! Waking: one blocking call for all queues at which this process waits.
//!
//! A push leaves a mark in the queue's `wake` set: one member, so that many pushes fold into one wake. The
//! bell waits for marks by `BZPOPMIN`, on a connection of its own and only while somebody waits. A mark that
//! nobody waits for stays where it is, or is put back. In a cluster, where one call takes keys of one slot
//! only, each queue has a bell.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use fred::{
    error::Error as FredError,
    interfaces::{ClientLike, Resp3Frame as Frame},
    types::{CustomCommand, Value},
};
use stream_core::{QueueName, Result};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{
    call::command,
    error::At,
    keys::Keys,
    link::{Link, Live},
    locked::locked,
    reply::Reply,
    wakes::Seat,
};

/// How long one blocking call waits: a connection that has died in silence is noticed after that.
const CALL: Duration = Duration::from_secs(20);
/// How much later than that its answer may come.
const GRACE: Duration = Duration::from_secs(5);
/// After a failure; programs that wait look at the store by themselves meanwhile.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two tries to interrupt a call that the server has not begun yet.
const INTERRUPT_AGAIN: Duration = Duration::from_millis(2);

/// All bells of a driver.
pub(crate) struct Bells {
    link: Arc<Link>,
    bells: Mutex<HashMap<u16, Arc<Bell>>>,
}

/// Who waits at the queues of one bell.
struct Bell {
    link: Arc<Link>,
    slot: u16,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    queues: HashMap<QueueName, Waiting>,
    is_running: bool,
}

struct Waiting {
    keys: Arc<Keys>,
    /// Those who wait now, by the number of their call.
    seats: HashMap<u64, Weak<Seat>>,
}

/// Somebody waits as long as this lives.
pub(crate) struct Guard {
    places: Vec<(Arc<Bell>, QueueName)>,
    number: u64,
}

impl Bells {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self { link, bells: Mutex::default() }
    }

    /// Has a seat woken for these queues as long as the guard lives.
    pub(crate) fn wait(
        &self,
        number: u64,
        seat: &Arc<Seat>,
        queues: impl Iterator<Item = Arc<Keys>>,
    ) -> Guard {
        let mut places = Vec::new();
        for keys in queues {
            let bell = self.bell(if self.link.is_cluster() { keys.slot } else { 0 });
            bell.enter(number, seat, &keys);
            places.push((bell, keys.queue.clone()));
        }
        Guard { places, number }
    }

    fn bell(&self, slot: u16) -> Arc<Bell> {
        let make = || {
            let (state, changed) = (Mutex::default(), Notify::new());
            Arc::new(Bell { link: self.link.clone(), slot, state, changed })
        };
        locked(&self.bells).entry(slot).or_insert_with(make).clone()
    }

    /// Who waits is to learn that the connection was closed.
    pub(crate) fn wake_all(&self) {
        for bell in locked(&self.bells).values() {
            for (queue, waiting) in &locked(&bell.state).queues {
                waiting.wake(queue);
            }
            bell.changed.notify_one();
        }
    }
}

impl Waiting {
    /// Says whether there was somebody.
    fn wake(&self, queue: &QueueName) -> bool {
        let seats = self.seats.values().filter_map(Weak::upgrade);
        seats.inspect(|seat| seat.wake(queue)).count() > 0
    }
}

impl Bell {
    fn enter(self: &Arc<Self>, number: u64, seat: &Arc<Seat>, keys: &Arc<Keys>) {
        let mut state = locked(&self.state);
        let waiting = state
            .queues
            .entry(keys.queue.clone())
            .or_insert_with(|| Waiting { keys: keys.clone(), seats: HashMap::new() });
        waiting.seats.insert(number, Arc::downgrade(seat));
        if state.is_running {
            self.changed.notify_one();
        } else {
            state.is_running = true;
            tokio::spawn(Arc::clone(self).run());
        }
    }

    fn leave(&self, number: u64, queue: &QueueName) {
        let mut state = locked(&self.state);
        if let Some(waiting) = state.queues.get_mut(queue) {
            waiting.seats.remove(&number);
            if waiting.seats.is_empty() {
                state.queues.remove(queue);
            }
        }
    }

    fn wanted(&self) -> Vec<Arc<Keys>> {
        locked(&self.state).queues.values().map(|waiting| waiting.keys.clone()).collect()
    }

    fn wants_more_than(&self, asked: &[Arc<Keys>]) -> bool {
        let state = locked(&self.state);
        state.queues.keys().any(|queue| asked.iter().all(|keys| keys.queue != *queue))
    }

    async fn run(self: Arc<Self>) {
        let _running = Running(&self);
        let mut ear: Option<Ear> = None;
        while !self.link.is_closed() {
            let wanted = self.wanted();
            if wanted.is_empty() {
                // Who waits often waits again soon; the connection is kept that long.
                if timeout(CALL, self.changed.notified()).await.is_err() && self.ends_if_alone() {
                    return;
                }
                continue;
            }
            let heard = match &ear {
                Some(open) if open.is_open() => self.listen(open, &wanted).await,
                _ => match Ear::open(&self.link, self.slot).await {
                    Ok(open) => self.listen(ear.insert(open), &wanted).await,
                    Err(_) => Heard::Failure,
                },
            };
            match heard {
                Heard::Mark(key) => self.ring(&key, &wanted).await,
                Heard::Nothing => {}
                Heard::Failure => {
                    ear = None;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Ends the task if nobody came in the last moment; whoever comes later starts another.
    fn ends_if_alone(&self) -> bool {
        let mut state = locked(&self.state);
        if state.queues.is_empty() {
            state.is_running = false;
        }
        !state.is_running
    }

    async fn listen(&self, ear: &Ear, asked: &[Arc<Keys>]) -> Heard {
        let mut call = std::pin::pin!(timeout(CALL + GRACE, ear.hear(asked)));
        loop {
            tokio::select! {
                biased;
                heard = &mut call => return Heard::from(heard),
                () = self.changed.notified() => {
                    if self.link.is_closed() {
                        return Heard::Nothing;
                    }
                    if self.wants_more_than(asked) {
                        break;
                    }
                }
            }
        }
        // The call is ended, so that the next one takes the new queues along.
        loop {
            let interrupted = self.interrupt(ear).await;
            match timeout(INTERRUPT_AGAIN, &mut call).await {
                Ok(heard) => return Heard::from(heard),
                Err(_) if interrupted.is_err() => return Heard::Failure,
                Err(_) => {}
            }
        }
    }

    async fn interrupt(&self, ear: &Ear) -> Result<()> {
        let at = At::writes("wake up");
        let live = self.link.connected(at).await?;
        let arguments = vec![Value::from_static_str("UNBLOCK"), Value::Integer(ear.number)];
        let answer = command(&live, self.slot, "CLIENT", arguments).await;
        answer.map(drop).map_err(|error| at.failed(&error))
    }

    /// Wakes who waits at the queue of this mark; if nobody does, others may have it.
    async fn ring(&self, key: &[u8], asked: &[Arc<Keys>]) {
        let Some(keys) = asked.iter().find(|keys| keys.wake.as_bytes() == Some(key)) else { return };
        let was_heard = match locked(&self.state).queues.get(&keys.queue) {
            Some(waiting) => waiting.wake(&keys.queue),
            None => false,
        };
        if was_heard {
            return;
        }
        let Ok(live) = self.link.connected(At::writes("wake up")).await else { return };
        let arguments = vec![keys.wake.clone(), Value::Integer(0), Value::from_static_str("")];
        // If it fails, others look by themselves within their safety interval.
        let _ = command(&live, keys.slot, "ZADD", arguments).await;
    }
}

/// However the task ends, with its runtime for one, the next who waits starts another.
struct Running<'b>(&'b Bell);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        locked(&self.0.state).is_running = false;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for (bell, queue) in &self.places {
            bell.leave(self.number, queue);
        }
    }
}

enum Heard {
    Mark(Vec<u8>),
    Nothing,
    Failure,
}

impl Heard {
    fn from(answer: Result<Result<Frame, FredError>, tokio::time::error::Elapsed>) -> Self {
        match answer {
            Ok(Ok(Frame::Null)) => Self::Nothing,
            Ok(Ok(frame)) if frame.refusal().is_none() => {
                let key = frame.list().and_then(|list| list.into_iter().next()?.bytes());
                key.map_or(Self::Nothing, |key| Self::Mark(key.to_vec()))
            }
            _ => Self::Failure,
        }
    }
}

/// The connection that blocks.
struct Ear {
    live: Live,
    session: u64,
    /// What the server calls this connection.
    number: i64,
}

impl Ear {
    async fn open(link: &Link, slot: u16) -> Result<Self> {
        let at = At::reads("ready");
        let live = link.blocking(slot, at).await?;
        live.until_connected(at, CALL).await?;
        let session = live.session();
        let call = CustomCommand::new_static("CLIENT", 0, false);
        let number = live.client.custom_raw(call, vec![Value::from_static_str("ID")]);
        let number = timeout(GRACE, number).await.ok().and_then(|answer| answer.ok()?.number());
        number.map(|number| Self { live, session, number }).ok_or_else(|| at.unreadable())
    }

    /// Whether it still is the connection of that number.
    fn is_open(&self) -> bool {
        self.live.client.is_connected() && self.live.session() == self.session
    }

    async fn hear(&self, queues: &[Arc<Keys>]) -> Result<Frame, FredError> {
        let slot = queues.first().map_or(0, |keys| keys.slot);
        let mut arguments: Vec<Value> = queues.iter().map(|keys| keys.wake.clone()).collect();
        arguments.push(Value::Integer(CALL.as_secs() as i64));
        let call = CustomCommand::new_static("BZPOPMIN", slot, true);
        self.live.client.custom_raw(call, arguments).await
    }
}
