//! Makes a thing once for all who ask for it at the same time.

use std::{future::Future, pin::Pin, sync::Mutex};

use tokio::sync::watch;

use crate::{
    fault::{Failure, Fault, Outcome},
    locked::locked,
};

/// A thing that is made when it is first asked for, and made again when it is no longer good.
///
/// Who asks while it is being made waits for the same. It is made in a task of its own, so that nobody who stops
/// waiting takes it from the others.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    slot: Mutex<Slot<T>>,
}

#[derive(Debug)]
enum Slot<T> {
    Empty,
    Flying(Landing<T>),
    Landed(T),
}

type Landing<T> = watch::Receiver<Option<Outcome<T>>>;
pub(crate) type Making<T> = Pin<Box<dyn Future<Output = Outcome<T>> + Send>>;

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    pub(crate) fn new() -> Self {
        Self { slot: Mutex::new(Slot::Empty) }
    }

    /// What there is, good or not.
    pub(crate) fn landed(&self) -> Option<T> {
        match &*locked(&self.slot) {
            Slot::Landed(thing) => Some(thing.clone()),
            Slot::Flying(landing) => landing.borrow().as_ref().and_then(|made| made.clone().ok()),
            Slot::Empty => None,
        }
    }

    /// What there is if it is good, else what `make` makes.
    pub(crate) async fn get(
        &self,
        is_good: impl Fn(&T) -> bool + Send + Sync,
        make: impl Fn() -> Making<T> + Send + Sync,
    ) -> Outcome<T> {
        // A second time if the runtime ended on which it was being made.
        for _ in 0..2 {
            let mut landing = match self.look(&is_good, &make) {
                Ok(thing) => return Ok(thing),
                Err(landing) => landing,
            };
            let Ok(made) = landing.wait_for(Option::is_some).await.map(|made| (*made).clone()) else {
                continue;
            };
            let made = made.expect("it was waited for");
            let mut slot = locked(&self.slot);
            if matches!(&*slot, Slot::Flying(other) if other.same_channel(&landing)) {
                *slot = made.clone().map_or(Slot::Empty, Slot::Landed);
            }
            return made;
        }
        Err(Failure::new(Fault::Away, "the runtime ended on which the connection was being made"))
    }

    fn look(
        &self,
        is_good: &(impl Fn(&T) -> bool + Send + Sync),
        make: &(impl Fn() -> Making<T> + Send + Sync),
    ) -> Result<T, Landing<T>> {
        let mut slot = locked(&self.slot);
        match &*slot {
            Slot::Landed(thing) if is_good(thing) => return Ok(thing.clone()),
            Slot::Flying(landing) => match &*landing.borrow() {
                Some(Ok(thing)) if is_good(thing) => return Ok(thing.clone()),
                // Under way, unless who made it is gone.
                None if landing.has_changed().is_ok() => return Err(landing.clone()),
                _ => {}
            },
            _ => {}
        }
        let (sender, landing) = watch::channel(None);
        let making = make();
        tokio::spawn(async move {
            let made = making.await;
            sender.send_replace(Some(made));
        });
        *slot = Slot::Flying(landing.clone());
        Err(landing)
    }
}
