//! The testkit proves itself: on a small durable store of its own, and fault by fault.

#[cfg(unix)]
mod crash;
mod decorated;
mod fault;
mod faulty;
mod ledger;
mod limited;
mod proxy;
mod toy;

mod conformance {
    stream_testkit::conformance!(crate::toy::toy_store);
}
