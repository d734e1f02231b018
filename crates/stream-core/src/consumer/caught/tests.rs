//! Panics as values.

use super::*;

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[tokio::test]
async fn a_panic_is_an_error_with_its_message() {
    let formatted = Caught::<()>::new(Box::pin(async { panic!("number {}", 7) })).await;
    assert_eq!(formatted, Err("panicked: number 7".into()));
    assert_eq!(Caught::new(Box::pin(async { 7 })).await, Ok(7));
}

#[tokio::test]
async fn a_panic_in_a_destructor_is_an_error_too() {
    let job = PanicsInDrop;
    let result = Caught::new(Box::pin(async move {
        let _job = job;
        tokio::task::yield_now().await;
    }));
    assert_eq!(result.await, Err("panicked: in drop".into()));
}
