//! A future whose panics are values, also those of its destructor.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

/// Runs a future; a panic gives its message as the error.
pub(super) struct Caught<T> {
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
}

impl<T> Caught<T> {
    pub(super) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { future: Some(Box::pin(future)) }
    }

    /// Drops the future; its destructor may panic as well.
    fn discard(&mut self) -> Result<(), String> {
        let future = self.future.take();
        catch(|| drop(future))
    }
}

impl<T> Future for Caught<T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.future.as_mut().expect("not polled again after its end");
        let polled = catch(|| future.as_mut().poll(cx));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(self.discard().map(|()| value)),
            Err(message) => {
                let _second_panic = self.discard();
                Poll::Ready(Err(message))
            }
        }
    }
}

impl<T> Drop for Caught<T> {
    fn drop(&mut self) {
        let _panic_of_an_aborted_handler = self.discard();
    }
}

/// Runs code of the user; a panic gives its message as the error.
pub(super) fn catch<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    // What the code leaves behind half done is the user's own and is not looked at again.
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("with a value that is no text"))
}

#[cfg(test)]
mod tests;
