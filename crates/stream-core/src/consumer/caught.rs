//! A future whose panics are values, its destructor's too.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

pub(super) struct Caught<'a, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + Send + 'a>>>,
}

impl<'a, T> Caught<'a, T> {
    pub(super) fn new(future: Pin<Box<dyn Future<Output = T> + Send + 'a>>) -> Self {
        Self { future: Some(future) }
    }

    fn discard(&mut self) -> Result<(), String> {
        let future = self.future.take();
        catch(|| drop(future))
    }
}

impl<T> Future for Caught<'_, T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.future.as_mut().expect("not polled again after its end");
        let ended = match catch(|| future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(message) => Err(message),
        };
        let discarded = self.discard();
        Poll::Ready(ended.and_then(|value| discarded.map(|()| value)))
    }
}

impl<T> Drop for Caught<'_, T> {
    fn drop(&mut self) {
        let _panic_of_an_aborted_handler = self.discard();
    }
}

/// A panic is an error with its message.
pub(super) fn catch<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    // What it leaves half done is the user's own.
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        format!("panicked: {}", text.unwrap_or("no text"))
    })
}

#[cfg(test)]
mod tests;
