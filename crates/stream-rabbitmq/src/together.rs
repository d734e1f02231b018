//! Polls futures side by side, in their order.

use std::{future::poll_fn, task::Poll};

use futures_core::future::BoxFuture;

/// Awaits all; each is begun before the first is awaited, in their order.
///
/// Meant for a channel, on which answers come in the order of the requests: one that is not ready is not asked past.
pub(crate) async fn all<'f, T>(futures: impl Iterator<Item = BoxFuture<'f, T>>) -> Vec<T> {
    let mut begun: Vec<(BoxFuture<'f, T>, Option<T>)> = futures.map(|future| (future, None)).collect();
    poll_fn(|context| {
        for (future, done) in &mut begun {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        Poll::Ready(())
    })
    .await;
    let mut outputs = Vec::with_capacity(begun.len());
    for (future, done) in begun {
        outputs.push(match done {
            Some(output) => output,
            None => future.await,
        });
    }
    outputs
}
