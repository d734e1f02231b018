//! A payload with a name and defaults, no code.

mod envelope;
mod push;
mod reserved;

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::*;

pub use envelope::*;
pub use push::*;
pub use reserved::*;

pub(crate) const DEFAULT_QUEUE: &str = "default";

/// A payload with a name and defaults, no code.
///
/// Illegal constants fail the build, at the first push or `register`.
///
/// ```
/// # use serde::{Serialize, Deserialize};
/// # use stream_core::*;
/// # use std::time::Duration;
/// #[derive(Serialize, Deserialize)]
/// struct Resize { width: u32 }
///
/// impl Job for Resize {
///     const NAME: &'static str = "resize";
///     const QUEUE: &'static str = "pictures";
///     const BACKOFF: Backoff = Backoff::fixed(Duration::from_secs(10));
///     const TIMEOUT: Option<Duration> = Some(Duration::from_secs(60));
/// }
/// ```
///
/// ```compile_fail
/// # use serde::{Serialize, Deserialize};
/// # use stream_core::*;
/// # #[derive(Serialize, Deserialize)]
/// # struct Wrong;
/// impl Job for Wrong {
///     const NAME: &'static str = "";
/// }
/// Draft::new(Wrong);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job",
    note = "write `impl Job for {Self} {{ const NAME: &'static str = \"...\"; }}`"
)]
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// What the handler is found by: 1 to 255 bytes.
    const NAME: &'static str;
    /// Where it is pushed to unless set.
    const QUEUE: &'static str = DEFAULT_QUEUE;
    /// How urgent it is unless set.
    const PRIORITY: Priority = Priority::Default;
    /// How many times it may fail before it is buried; at least 1.
    const MAX_ATTEMPTS: u32 = 25;
    /// How long it waits between attempts.
    const BACKOFF: Backoff = Backoff::DEFAULT;
    /// How long one attempt may run; no limit by default.
    const TIMEOUT: Option<Duration> = None;
    /// How the payload is serialised.
    const CODEC: Codec = Codec::MessagePack;

    /// The job with its options.
    fn draft(self) -> Draft {
        Draft::new(self)
    }
}

pub(crate) const fn check<J: Job>() {
    assert!(!J::NAME.is_empty() && J::NAME.len() <= NAME_BYTES_MAX, "Job::NAME must have 1 to 255 bytes");
    assert!(is_queue_name(J::QUEUE), "Job::QUEUE must be 1 to 48 of A-Z a-z 0-9 _ -");
    assert!(J::MAX_ATTEMPTS >= 1, "Job::MAX_ATTEMPTS must be at least 1");
    if let Some(timeout) = J::TIMEOUT {
        let is_kept = !timeout.is_zero() && timeout.as_nanos() <= LONGEST.as_nanos();
        assert!(is_kept, "Job::TIMEOUT must be above zero and at most 2^28-1 seconds");
    }
    let backoff = J::BACKOFF;
    assert!(backoff.problem().is_none(), "Job::BACKOFF is out of range");
    // A value with a destructor cannot be dropped at compile time.
    std::mem::forget(backoff);
}
