//! Panics as values.

use super::*;

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

fn run<T>(future: impl Future<Output = T> + Send) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Caught::new(Box::pin(future)))
}

#[test]
fn a_panic_is_an_error_with_its_message() {
    let panicking = async {
        panic!("number {}", 7);
    };
    assert_eq!(run(panicking), Err("panicked: number 7".into()));
    assert_eq!(run(async { 7 }), Ok(7));
}

#[test]
fn a_panic_in_a_destructor_is_an_error_too() {
    let job = PanicsInDrop;
    let result = run(async move {
        let _job = job;
        tokio::task::yield_now().await;
    });
    assert_eq!(result, Err("panicked: in drop".into()));
}
