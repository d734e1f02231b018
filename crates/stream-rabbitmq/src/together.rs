//! Polls futures side by side, in their order.

use std::{future::poll_fn, task::Poll};

use futures_core::future::BoxFuture;

/// Awaits all; each is begun before the first is awaited, in their order.
///
/// Meant for a channel, on which answers come in the order of the requests: one that is not ready is not asked past.
pub(crate) async fn all<'f, T>(futures: impl Iterator<Item = BoxFuture<'f, T>>) -> Vec<T> {
    let mut outputs = Vec::new();
    for begun in begin(futures).await {
        outputs.push(begun.output().await);
    }
    outputs
}

/// A future that was polled once.
pub(crate) struct Begun<'f, T> {
    future: BoxFuture<'f, T>,
    done: Option<T>,
}

/// Begins all, in their order.
pub(crate) async fn begin<'f, T>(futures: impl Iterator<Item = BoxFuture<'f, T>>) -> Vec<Begun<'f, T>> {
    let mut begun: Vec<Begun<'f, T>> = futures.map(|future| Begun { future, done: None }).collect();
    poll_fn(|context| {
        for one in &mut begun {
            if let Poll::Ready(output) = one.future.as_mut().poll(context) {
                one.done = Some(output);
            }
        }
        Poll::Ready(())
    })
    .await;
    begun
}

impl<T> Begun<'_, T> {
    pub(crate) async fn output(self) -> T {
        match self.done {
            Some(output) => output,
            None => self.future.await,
        }
    }
}
