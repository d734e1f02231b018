//! The crash tier: producers and workers as processes of their own, killed with SIGKILL.
//!
//! A driver's tests expand [`crash!`](crate::crash!) in a module named `crash`. Each test runs a
//! producer and two workers, kills them at one named point (or at random moments), starts them
//! again, and compares the ledger of pushed jobs with what was done, is dead or waits: none may be
//! lost, and no more may have run twice than the kills explain.
//!
//! The children are the test binary itself, started with the name of one test and told their part by
//! an environment variable. None outlives its test: it is killed when the test ends, and ends on its
//! own when its standard input is closed or its time is up.
//!
//! `STREAM_TEST_SEED` and `STREAM_TEST_KILLS` replace the seed and the number of kills of every test.

mod bystanders;
mod child;
mod killing;
mod orders;
mod process;
mod round;

use std::sync::Arc;

use stream_core::{Driver, Result, async_trait};

use crate::Backend;

pub use bystanders::crash_bystanders;
pub use child::run_child;
pub use killing::Killing;
pub use orders::KillPoint;
pub use round::{Moment, Round, crash_round};

/// A store that other processes can reach.
#[async_trait]
pub trait CrashBackend: Backend {
    /// The environment variables from which a child process finds this store, beside those of the
    /// test itself, which it inherits.
    fn child_env(&self) -> Vec<(String, String)>;

    /// Connects to the store that the environment names; called in a child process.
    async fn connect_from_env() -> Result<Arc<dyn Driver>>
    where
        Self: Sized;
}

/// Expands to the tests of the crash tier and to the entry of their child processes.
///
/// The argument is the path of an `async fn() -> Result<impl CrashBackend, Skip>`.
#[macro_export]
macro_rules! crash {
    ($setup:path) => {
        /// Does nothing unless a test of this module has started the process for a part in it.
        #[test]
        fn entry_of_child_processes() {
            $crate::crash::run_child($setup);
        }

        $crate::__crash_tests! { $setup;
            books_balance_when_killed_before_push: At(BeforePush),
            books_balance_when_killed_after_push: At(AfterPush),
            books_balance_when_killed_before_reserve: At(BeforeReserve),
            books_balance_when_killed_after_reserve: At(AfterReserve),
            books_balance_when_killed_before_extend: At(BeforeExtend),
            books_balance_when_killed_after_extend: At(AfterExtend),
            books_balance_when_killed_before_settle: At(BeforeSettle),
            books_balance_when_killed_after_settle: At(AfterSettle),
        }

        #[test]
        fn only_the_job_that_kills_its_workers_is_buried() {
            let name = concat!(module_path!(), "::only_the_job_that_kills_its_workers_is_buried");
            $crate::crash::crash_bystanders(name, $setup);
        }

        #[test]
        fn books_balance_when_killed_at_random_moments() {
            let name = concat!(module_path!(), "::books_balance_when_killed_at_random_moments");
            $crate::crash::crash_round(
                name,
                $setup,
                $crate::crash::Round::new($crate::crash::Moment::Random),
            );
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __crash_tests {
    ($setup:path; $($case:ident: At($point:ident),)*) => {$(
        #[test]
        fn $case() {
            let moment = $crate::crash::Moment::At($crate::crash::KillPoint::$point);
            let name = concat!(module_path!(), "::", stringify!($case));
            $crate::crash::crash_round(name, $setup, $crate::crash::Round::new(moment));
        }
    )*};
}
