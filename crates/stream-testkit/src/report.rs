//! Runs one case, and counts honestly: passed, failed, or skipped with a reason.

use std::{env, fs::OpenOptions, future::Future, io::Write, pin::Pin, sync::Arc, time::Duration};

use crate::{Backend, Stage};

/// Why a test cannot run here.
#[derive(Debug, Clone)]
pub struct Skip {
    reason: String,
}

impl Skip {
    /// A reason that says what to do.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// Reports `case` as skipped: `case<TAB>reason` is appended to the file that
    /// `STREAM_TEST_REPORT` names.
    ///
    /// # Panics
    /// If `STREAM_TEST_REQUIRE` is `all`: then nothing may be skipped.
    pub fn report(&self, case: &str) {
        eprintln!("skipped: {case}: {}", self.reason);
        if env::var("STREAM_TEST_REQUIRE").is_ok_and(|required| required == "all") {
            panic!("{case} may not be skipped: {}", self.reason);
        }
        let Ok(path) = env::var("STREAM_TEST_REPORT") else { return };
        let mut report = OpenOptions::new().create(true).append(true).open(path).expect("the report opens");
        // One write call, so that lines of parallel tests do not mix.
        report.write_all(format!("{case}\t{}\n", self.reason).as_bytes()).expect("the report is written");
    }
}

/// Whether the soak tier is run, which takes many minutes; if not, `case` is reported as skipped.
///
/// `cargo xtask test-drivers --tier soak` sets `STREAM_TEST_SOAK` for the tests of modules named `soak`.
///
/// # Panics
/// As [`Skip::report`].
pub fn soak_is_run(case: &str) -> bool {
    let is_run = env::var("STREAM_TEST_SOAK").is_ok_and(|value| value == "1");
    if !is_run {
        Skip::because("it takes minutes: run `cargo xtask test-drivers --tier soak`").report(case);
    }
    is_run
}

/// A case that takes longer hangs.
const CASE_LIMIT: Duration = Duration::from_secs(60);

/// Runs one case of the suite on a fresh queue, in a runtime of its own, under a limit of a minute.
///
/// `name` is the full name of the test, such as `conformance::push_answers_each_job`.
///
/// # Panics
/// If the case fails.
pub fn run_case<B, S, C>(name: &str, setup: impl FnOnce() -> S, case: impl FnOnce(Stage) -> C)
where
    B: Backend,
    S: Future<Output = Result<B, Skip>>,
    C: Future<Output = ()>,
{
    let setup = async { setup().await.map(|backend| Arc::new(backend) as Arc<dyn Backend>) };
    run_boxed(name, Box::pin(setup), Box::new(move |stage| Box::pin(case(stage))));
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// As `run_case`, but compiled once: what is compiled for each of a thousand tests is to be little.
fn run_boxed<'a>(
    name: &str,
    setup: Boxed<'a, Result<Arc<dyn Backend>, Skip>>,
    case: Box<dyn FnOnce(Stage) -> Boxed<'a, ()> + 'a>,
) {
    let name = name.split_once("::").map_or(name, |(_crate, path)| path);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let backend = match setup.await {
            Ok(backend) => backend,
            Err(skip) => return skip.report(name),
        };
        let stage = Stage::new(backend).await;
        let cleaner = stage.clone();
        tokio::time::timeout(CASE_LIMIT, case(stage)).await.expect("the case ends within a minute");
        cleaner.clean().await;
    });
}

/// Expands to one `#[test]` per case of the suite.
///
/// The argument is the path of an `async fn() -> Result<impl Backend, Skip>`.
#[macro_export]
macro_rules! conformance {
    ($setup:path) => {
        $crate::for_each_case!($setup);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($setup:path; $($group:ident: $($case:ident),* $(,)?;)*) => {
        $($(
            #[test]
            fn $case() {
                $crate::run_case(concat!(module_path!(), "::", stringify!($case)), $setup, $crate::cases::$group::$case);
            }
        )*)*
    };
}
