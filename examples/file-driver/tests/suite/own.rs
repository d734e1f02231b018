//! What the suite cannot know: files that a killed process left, and files of somebody else.

use std::{fs, path::PathBuf, slice, time::Duration};

use stream_core::{
    Codec, Delivery, Driver, Envelope, ErrorKind, NewJob, Outcome, QueueName, Reserve, Settlement,
};
use stream_file_driver::{Durability, FileConfig, FileDriver};

use crate::{FileStore, file_store};

async fn store() -> (FileStore, FileDriver, QueueName) {
    let store = file_store().await.expect("a folder");
    let driver = store.open();
    (store, driver, QueueName::new("emails").expect("legal"))
}

fn job() -> NewJob {
    NewJob::new(Envelope::new("job", Codec::Raw, vec![7; 20]))
}

async fn push(driver: &FileDriver, queue: &QueueName) -> NewJob {
    let job = job();
    driver.push(queue, slice::from_ref(&job)).await.remove(0).expect("stored");
    job
}

async fn take_all(driver: &FileDriver, queue: &QueueName) -> Vec<Delivery> {
    let subscription = driver.subscribe(slice::from_ref(queue)).await.expect("subscribed");
    subscription.reserve(queue, Reserve::new(100)).await.expect("reserved")
}

async fn settle(driver: &FileDriver, queue: &QueueName, delivery: &Delivery, outcome: Outcome) {
    driver.settle(queue, &[Settlement::new(delivery, &outcome)]).await.remove(0).expect("settled");
}

/// The files of the jobs in a queue.
fn files(store: &FileStore, queue: &str) -> Vec<PathBuf> {
    let files =
        fs::read_dir(store.folder.join(queue)).expect("read").map(|file| file.expect("a file").path());
    files.filter(|path| path.file_name().is_some_and(|name| name.len() > 20)).collect()
}

#[tokio::test]
async fn job_that_was_written_anew_by_a_killed_process_is_one_job() {
    let (store, driver, queue) = store().await;
    push(&driver, &queue).await;
    let delivery = take_all(&driver, &queue).await.remove(0);
    let old = files(&store, "emails").remove(0);
    let bytes = fs::read(&old).expect("read");
    let failed = Outcome::Retry { after: Duration::ZERO, error: "disk full".into() };
    settle(&driver, &queue, &delivery, failed).await;

    // As if the process had been killed before it removed the original.
    fs::write(old, bytes).expect("written");

    let again = take_all(&driver, &queue).await;
    let [again] = &again[..] else { panic!("{} jobs came", again.len()) };
    assert_eq!((again.attempt, again.last_error.as_deref()), (2, Some("disk full")));
    settle(&driver, &queue, again, Outcome::Done).await;
    assert!(files(&store, "emails").is_empty());
}

#[tokio::test]
async fn job_that_a_killed_process_left_half_written_is_no_job() {
    let (store, driver, queue) = store().await;
    let first = push(&driver, &queue).await;
    fs::write(store.folder.join("emails/nameless"), b"half of a jo").expect("written");
    let second = push(&driver, &queue).await;
    let ids: Vec<_> = take_all(&driver, &queue).await.iter().map(Delivery::id).collect();
    assert_eq!(ids, [first, second].map(|job| Some(job.envelope.id)));
}

#[tokio::test]
async fn job_is_written_whole_before_it_has_its_name() {
    let (store, driver, queue) = store().await;
    push(&driver, &queue).await;
    // Where it would be written there is no room for a file.
    fs::create_dir(store.folder.join("emails/nameless")).expect("made");
    let refused = driver.push(&queue, &[job()]).await.remove(0).expect_err("it cannot be written");
    assert_eq!(refused.kind(), &ErrorKind::Unavailable);
    assert_eq!(driver.depth(&queue).await.expect("depth").ready, 1);
}

#[tokio::test]
async fn files_of_somebody_else_hurt_nobody() {
    let (store, driver, queue) = store().await;
    push(&driver, &queue).await;
    for name in [".DS_Store", "a.b.c.d.e.f.g", "0.0.none.9.1.0.w0", "notes.txt"] {
        fs::write(store.folder.join("emails").join(name), b"?").expect("written");
    }
    assert_eq!(driver.depth(&queue).await.expect("depth").ready, 1);
    assert_eq!(take_all(&driver, &queue).await.len(), 1);
}

#[tokio::test]
async fn spoilt_file_is_delivered_as_undecodable_beside_the_good_ones() {
    let (store, driver, queue) = store().await;
    push(&driver, &queue).await;
    fs::write(files(&store, "emails").remove(0), [255; 9]).expect("written");
    push(&driver, &queue).await;
    let taken = take_all(&driver, &queue).await;
    assert_eq!(taken.iter().map(|delivery| delivery.envelope.is_ok()).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn clock_that_was_set_back_changes_no_order() {
    let (store, driver, queue) = store().await;
    push(&driver, &queue).await;
    let now = files(&store, "emails").remove(0);
    let name = now.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    // As if it had been pushed when the clock was far ahead, and was due at once.
    let ahead = format!("{0}.{0}{1}", "7000000000000000", &name[33..]);
    fs::rename(&now, now.with_file_name(ahead)).expect("renamed");
    let first = take_all(&driver, &queue).await.remove(0);
    let release = Outcome::Release { after: Duration::ZERO };
    settle(&driver, &queue, &first, release).await;

    let second = push(&driver, &queue).await;
    let ids: Vec<_> = take_all(&driver, &queue).await.iter().map(Delivery::id).collect();
    assert_eq!(ids, [first.id(), Some(second.envelope.id)]);
}

#[tokio::test]
async fn capitals_are_another_queue_where_the_disk_ignores_case() {
    let (store, driver, queue) = store().await;
    push(&driver, &queue).await;
    push(&driver, &QueueName::new("Emails").expect("legal")).await;
    assert_eq!((files(&store, "emails").len(), files(&store, "+Emails").len()), (1, 1));
}

#[tokio::test]
async fn check_says_what_may_lose_jobs() {
    let (store, driver, _) = store().await;
    assert_eq!(driver.check().await.expect("checked"), []);
    let unsafe_one = FileDriver::new(FileConfig::new(&store.folder).durability(Durability::System));
    assert!(unsafe_one.check().await.expect("checked")[0].severe);
    let no_folder = FileDriver::new(FileConfig::new("/dev/null/jobs"));
    assert!(no_folder.check().await.expect("checked")[0].severe);
}

#[tokio::test]
async fn queue_that_is_only_asked_about_makes_no_folder() {
    let (store, driver, queue) = store().await;
    assert_eq!(take_all(&driver, &queue).await.len(), 0);
    assert_eq!(driver.depth(&queue).await.expect("depth").ready, 0);
    driver.clear(&queue).await.expect("cleared");
    assert!(!store.folder.exists());
}
