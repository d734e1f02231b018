//! The check of the books finds what is wrong with them.

use stream_core::JobId;
use stream_testkit::ledger::{Books, Ledger, Page};

use crate::toy::toy_store;

fn books(pushed: &[JobId]) -> Books {
    let mut books = Books::default();
    (books.intended, books.pushed) = (pushed.to_vec(), pushed.to_vec());
    books
}

#[test]
fn books_balance_if_each_job_is_done_dead_or_waiting() {
    let [done, dead, waiting] = [JobId::new(), JobId::new(), JobId::new()];
    let mut books = books(&[done, dead, waiting]);
    (books.done, books.dead, books.waiting) = (vec![done], vec![dead], vec![waiting]);
    let balance = books.balance();
    assert_eq!((balance.pushed, balance.done, balance.dead, balance.waiting), (3, 1, 1, 1));
    balance.assert_balanced(0);
}

#[test]
#[should_panic(expected = "1 jobs are lost")]
fn job_that_is_nowhere_is_lost() {
    let [done, lost] = [JobId::new(), JobId::new()];
    let mut books = books(&[done, lost]);
    books.done = vec![done];
    assert_eq!(books.balance().lost, [lost]);
    books.balance().assert_balanced(10);
}

#[test]
#[should_panic(expected = "more duplicates than the 1 that kills explain")]
fn more_runs_than_the_kills_explain_are_refused() {
    let id = JobId::new();
    let mut books = books(&[id]);
    books.done = vec![id, id, id];
    assert_eq!(books.balance().duplicates, 2);
    books.balance().assert_balanced(1);
}

#[test]
fn copy_that_waits_beside_a_finished_job_is_a_duplicate() {
    let id = JobId::new();
    let mut books = books(&[id]);
    (books.done, books.waiting) = (vec![id], vec![id]);
    assert_eq!(books.balance().duplicates, 1);
}

#[test]
#[should_panic(expected = "jobs that nobody pushed")]
fn job_that_nobody_pushed_is_refused() {
    let mut books = books(&[]);
    books.dead = vec![JobId::new()];
    books.balance().assert_balanced(10);
}

#[test]
fn push_that_was_not_answered_may_be_found_or_not() {
    let [stored, gone] = [JobId::new(), JobId::new()];
    let mut books = books(&[]);
    (books.intended, books.done) = (vec![stored, gone], vec![stored]);
    books.balance().assert_balanced(0);
}

#[tokio::test]
async fn pages_are_read_as_they_were_written() {
    let store = toy_store().await.expect("a folder");
    let ledger = Ledger::at(store.file().parent().expect("a folder"));
    let ids = [JobId::new(), JobId::new(), JobId::new()];
    ledger.append(Page::Done, &ids[..1]).expect("written");
    ledger.append(Page::Done, &ids[1..]).expect("written");
    assert_eq!(ledger.read(Page::Done).expect("read"), ids);
    assert_eq!(ledger.read(Page::Late).expect("read"), []);
}
