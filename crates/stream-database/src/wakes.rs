//! Who waits at which queue in this process, and how they are woken.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, Weak},
};

use stream_core::QueueName;
use tokio::sync::Notify;

use crate::locked::locked;

/// Everyone who waits through one driver.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    seats: Mutex<HashMap<String, Vec<Weak<Seat>>>>,
}

/// The place of one subscription: which of its queues were woken since it last looked.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    woken: Mutex<HashSet<String>>,
    notify: Notify,
}

impl Wakes {
    /// Takes a place at these queues; it is given up when the seat is dropped.
    pub(crate) fn seat<'q>(&self, queues: impl Iterator<Item = &'q QueueName>) -> Arc<Seat> {
        let seat = Arc::new(Seat::default());
        let mut seats = locked(&self.seats);
        for queue in queues {
            let waiting = seats.entry(queue.as_str().to_owned()).or_default();
            waiting.retain(|seat| seat.strong_count() > 0);
            waiting.push(Arc::downgrade(&seat));
        }
        seat
    }

    /// Wakes who waits at a queue.
    pub(crate) fn queue(&self, queue: &str) {
        let waiting = locked(&self.seats).get(queue).cloned().unwrap_or_default();
        waiting.iter().filter_map(Weak::upgrade).for_each(|seat| seat.wake(queue));
    }

    /// The queues at which somebody has a place.
    #[cfg(feature = "sqlite")]
    pub(crate) fn queues(&self) -> Vec<String> {
        locked(&self.seats).keys().cloned().collect()
    }

    /// Wakes everybody, at every queue.
    pub(crate) fn all(&self) {
        let seats = locked(&self.seats).clone();
        for (queue, waiting) in &seats {
            waiting.iter().filter_map(Weak::upgrade).for_each(|seat| seat.wake(queue));
        }
    }

    /// Forgets the queues of a subscription that has ended, where nobody else waits.
    pub(crate) fn leave<'q>(&self, queues: impl Iterator<Item = &'q QueueName>) {
        let mut seats = locked(&self.seats);
        for queue in queues {
            if let Some(waiting) = seats.get_mut(queue.as_str()) {
                waiting.retain(|seat| seat.strong_count() > 0);
                if waiting.is_empty() {
                    seats.remove(queue.as_str());
                }
            }
        }
    }
}

impl Seat {
    fn wake(&self, queue: &str) {
        locked(&self.woken).insert(queue.to_owned());
        self.notify.notify_one();
    }

    /// The queues that were woken since the last call.
    pub(crate) fn take(&self) -> HashSet<String> {
        std::mem::take(&mut *locked(&self.woken))
    }

    /// Resolves once a queue was woken since the last `take`.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: the names stay until they are taken.
    pub(crate) async fn woken(&self) {
        while locked(&self.woken).is_empty() {
            self.notify.notified().await;
        }
    }
}
