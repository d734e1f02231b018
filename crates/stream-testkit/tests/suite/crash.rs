//! The toy store loses nothing when its processes are killed, and the harness keeps its own house.

use std::{
    env, fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use stream_testkit::ledger::{Ledger, Page};

use crate::toy::toy_store;

stream_testkit::crash!(crate::toy::toy_store);

/// A child whose test has ended, however that came, closes its books and ends as well.
#[tokio::test]
async fn child_ends_when_its_parent_is_gone() {
    let store = toy_store().await.expect("a store");
    let folder = store.file().parent().expect("a folder").to_owned();
    let mut child = Command::new(env::current_exe().expect("a path"))
        .args(["--exact", "crash::entry_of_child_processes", "--nocapture"])
        .env("STREAM_TEST_CHILD", format!("producer\torphan\t{}", folder.display()))
        .env("STREAM_TEST_TOY_STORE", store.file())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the child starts");
    // The parent's end of the pipe is closed by the system when the parent ends.
    drop(child.stdin.take());
    let deadline = Instant::now() + Duration::from_secs(5);
    let status = loop {
        if let Some(status) = child.try_wait().expect("waited") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the child outlives its parent");
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{status}");
    assert!(!Ledger::at(&folder).read(Page::Pushed).expect("read").is_empty(), "it did not play its part");
    fs::remove_dir_all(folder).expect("removed");
}
