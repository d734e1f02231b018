//! A queue as a whole: order, groups, fence and keys, on a clock made of numbers.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use stream_core::{Codec, Delivery, Envelope, NewJob, Outcome, Priority, Pushed, Reserve};
use tokio::time::Instant;

use super::{Queue, Readiness};
use crate::{receipt::Token, state::Change};

const SECOND: Duration = Duration::from_secs(1);

/// A queue, and the time there.
struct World {
    queue: Queue,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self { queue: Queue::new(1, 0), now: Instant::now() }
    }

    fn push(&mut self, job: &NewJob) -> Pushed {
        self.queue.push(job, 1, self.now).unwrap()
    }

    /// Pushes a job of this name and priority.
    fn push_at(&mut self, name: &'static str, priority: Priority) {
        let mut job = job(name);
        job.envelope.priority = priority;
        self.push(&job);
    }

    fn push_delayed(&mut self, name: &'static str, delay: Duration) {
        let mut job = job(name);
        job.delay = delay;
        self.push(&job);
    }

    fn push_to(&mut self, group: &str, name: &'static str) {
        let mut job = job(name);
        job.envelope.group = Some(group.to_owned());
        self.push(&job);
    }

    fn take(&mut self, max_jobs: usize) -> Vec<Delivery> {
        self.queue.reserve(Reserve::new(max_jobs).lease(SECOND * 30), self.now)
    }

    fn names(&mut self) -> Vec<String> {
        self.take(100).iter().map(name).collect()
    }

    fn settle(&mut self, delivery: &Delivery, outcome: &Outcome) -> Option<Change> {
        self.queue.settle(Token::read(&delivery.receipt).unwrap(), outcome, self.now)
    }

    fn counts(&self) -> (u64, u64, u64) {
        let depth = self.queue.depth(self.now);
        (depth.ready, depth.delayed, depth.reserved)
    }
}

fn job(name: &'static str) -> NewJob {
    NewJob::new(Envelope::new(name, Codec::Raw, Vec::new()))
}

fn name(delivery: &Delivery) -> String {
    delivery.envelope.as_ref().unwrap().name.clone().into_owned()
}

const RELEASE: Outcome = Outcome::Release { after: Duration::ZERO };

fn retry(after: Duration) -> Outcome {
    Outcome::Retry { after, error: "failed".into() }
}

#[test]
fn more_urgent_jobs_go_first_and_equals_in_their_order() {
    let mut world = World::new();
    for (name, priority) in [
        ("low", Priority::Low),
        ("first", Priority::Default),
        ("second", Priority::Default),
        ("critical", Priority::Critical),
        ("high", Priority::High),
    ] {
        world.push_at(name, priority);
    }
    assert_eq!(world.names(), ["critical", "high", "first", "second", "low"]);
}

#[test]
fn a_delayed_job_stands_where_it_would_had_it_been_pushed_when_due() {
    let mut world = World::new();
    world.push_delayed("in two", SECOND * 2);
    world.push_delayed("in one", SECOND);
    world.push(&job("now"));
    world.now += SECOND * 3 / 2;
    world.push(&job("after one"));
    assert_eq!(world.counts(), (3, 1, 0));
    world.now += SECOND;
    assert_eq!(world.names(), ["now", "in one", "after one", "in two"]);
}

#[test]
fn a_released_job_goes_back_to_its_place_and_a_retried_one_to_the_end() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d"] {
        world.push(&job(name));
    }
    let taken = world.take(3);
    world.settle(&taken[0], &retry(Duration::ZERO));
    world.settle(&taken[2], &RELEASE);
    world.settle(&taken[1], &RELEASE);
    assert_eq!(world.names(), ["b", "c", "d", "a"]);
}

#[test]
fn an_ended_lease_is_the_front_of_its_priority_only() {
    let mut world = World::new();
    world.push(&job("lost"));
    world.take(1);
    world.now += SECOND * 30;
    world.push(&job("other"));
    world.push_at("urgent", Priority::High);
    assert_eq!(world.counts(), (3, 0, 0));
    let taken = world.take(100);
    assert_eq!(taken.iter().map(name).collect::<Vec<_>>(), ["urgent", "lost", "other"]);
    assert_eq!(taken.iter().map(|delivery| delivery.lost).collect::<Vec<_>>(), [0, 1, 0]);
}

#[test]
fn one_reserve_takes_no_job_twice_however_short_its_lease() {
    let mut world = World::new();
    world.push(&job("a"));
    let request = Reserve::new(3).lease(Duration::ZERO);
    assert_eq!(world.queue.reserve(request, world.now).len(), 1);
}

#[test]
fn durations_beyond_the_clock_do_no_harm() {
    let mut world = World::new();
    world.push(&job("a"));
    let taken = world.queue.reserve(Reserve::new(1).lease(Duration::MAX), world.now);
    let token = Token::read(&taken[0].receipt).unwrap();
    assert!(world.queue.extend(token, Duration::MAX, world.now).is_some());
    assert!(world.settle(&taken[0], &retry(Duration::MAX)).is_some());
    assert_eq!(world.counts(), (0, 1, 0));
}

#[test]
fn a_receipt_is_good_for_its_own_store_queue_row_and_delivery_only() {
    let mut world = World::new();
    world.push(&job("a"));
    let token = Token::read(&world.take(1)[0].receipt).unwrap();
    for wrong in [
        Token { store: token.store + 1, ..token },
        Token { queue: token.queue + 1, ..token },
        Token { row: token.row + 1, ..token },
        Token { row: usize::MAX, ..token },
        Token { delivery: token.delivery + 1, ..token },
    ] {
        assert_eq!(world.queue.settle(wrong, &Outcome::Done, world.now), None, "{wrong:?}");
        assert_eq!(world.queue.extend(wrong, SECOND, world.now), None, "{wrong:?}");
    }
    assert!(world.queue.is_current(token));
}

#[test]
fn a_receipt_from_before_the_burial_stays_bad_after_the_dead_letter_was_retried() {
    let mut world = World::new();
    world.push(&job("a"));
    let before = world.take(1).remove(0);
    world.settle(&before, &Outcome::Bury { error: "hopeless".into() });
    assert_eq!(world.queue.retry_all_dead(world.now), 1);
    let after = world.take(1).remove(0);
    assert_eq!(world.settle(&before, &Outcome::Done), None);
    assert!(world.settle(&after, &Outcome::Done).is_some());
}

#[test]
fn of_two_letters_with_one_unique_key_one_is_retried() {
    let mut world = World::new();
    for _ in 0..2 {
        let mut unique = job("unique");
        unique.envelope.unique_key = Some("key".into());
        assert_eq!(world.push(&unique), Pushed::Stored(unique.envelope.id));
        let taken = world.take(1).remove(0);
        world.settle(&taken, &Outcome::Bury { error: "hopeless".into() });
    }
    assert_eq!(world.queue.retry_all_dead(world.now), 1);
    assert_eq!((world.queue.dead_count(), world.counts()), (1, (1, 0, 0)));
}

#[test]
fn a_group_is_held_from_the_take_until_the_job_is_over() {
    let mut world = World::new();
    world.push_to("g", "first");
    world.push_to("g", "second");
    world.push(&job("free"));
    let taken = world.take(100);
    assert_eq!(taken.iter().map(name).collect::<Vec<_>>(), ["first", "free"]);
    assert_eq!(world.counts(), (1, 0, 2));
    world.settle(&taken[0], &retry(SECOND));
    assert_eq!(world.queue.readiness(None, world.now), Readiness::At(world.now + SECOND));
    world.now += SECOND;
    let again = world.take(100);
    assert_eq!(again.iter().map(name).collect::<Vec<_>>(), ["first"]);
    assert_eq!(world.settle(&again[0], &Outcome::Done), Some(Change::Wakes));
    assert_eq!(world.names(), ["second"]);
}

#[test]
fn a_burial_and_a_clear_let_the_group_go() {
    let mut world = World::new();
    world.push_to("g", "buried");
    world.push_to("g", "cleared");
    let taken = world.take(1).remove(0);
    assert_eq!(world.names().len(), 0);
    world.settle(&taken, &Outcome::Bury { error: "hopeless".into() });
    let next = world.take(1).remove(0);
    world.push_to("g", "cleared as well");
    world.settle(&next, &retry(SECOND));
    assert_eq!(world.queue.clear(world.now).len(), 2);
    world.push_to("g", "next");
    assert_eq!(world.names(), ["next"]);
}

#[test]
fn a_clear_keeps_the_group_with_its_job_on_loan() {
    let mut world = World::new();
    world.push_to("g", "on loan");
    let taken = world.take(1).remove(0);
    world.push_to("g", "cleared");
    assert_eq!(world.names().len(), 0);
    assert_eq!(world.queue.clear(world.now).len(), 1);
    world.push_to("g", "next");
    assert_eq!(world.names().len(), 0);
    world.settle(&taken, &Outcome::Done);
    assert_eq!(world.names(), ["next"]);
}

#[test]
fn jobs_that_their_group_holds_back_are_looked_at_once() {
    let mut world = World::new();
    for _ in 0..1_000 {
        world.push_to("g", "grouped");
    }
    world.take(2);
    assert_eq!(world.queue.groups.parked(), 999);
    assert!(world.queue.lines.iter().all(|line| line.next(world.now).is_none()));
}

/// Jobs of a few groups and of none, taken and ended at random: each group's jobs run one at a time, in
/// their order, and nothing is left behind.
#[test]
fn groups_run_one_at_a_time_in_push_order_whatever_happens() {
    for seed in 0..200u64 {
        let mut state = seed;
        let mut random = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        let (mut world, mut running) = (World::new(), Vec::<Delivery>::new());
        let mut expected: BTreeMap<String, VecDeque<_>> = BTreeMap::new();
        for _ in 0..40 {
            let mut job = job("grouped");
            let group = format!("g{}", random(4));
            expected.entry(group.clone()).or_default().push_back(job.envelope.id);
            job.envelope.group = Some(group);
            job.delay = Duration::ZERO;
            world.push(&job);
        }
        for step in 0.. {
            assert!(step < 5_000, "seed {seed}: jobs are stuck: {expected:?}");
            for delivery in world.take(random(4) as usize) {
                let group = delivery.envelope.as_ref().unwrap().group.clone().unwrap();
                assert_eq!(expected[&group].front().copied(), delivery.id(), "seed {seed}: out of order");
                running.retain(|other| other.id() != delivery.id());
                running.push(delivery);
            }
            world.now += SECOND * random(20) as u32;
            if running.is_empty() {
                if world.queue.len() == 0 {
                    break;
                }
                continue;
            }
            let ended = running.swap_remove(random(running.len() as u64) as usize);
            let outcome = match random(5) {
                0 => retry(SECOND * random(3) as u32),
                1 => RELEASE,
                2 => Outcome::Release { after: SECOND },
                3 => continue,
                _ => Outcome::Done,
            };
            if world.settle(&ended, &outcome).is_some() && outcome == Outcome::Done {
                let group = ended.envelope.unwrap().group.unwrap();
                expected.get_mut(&group).unwrap().pop_front();
            }
        }
    }
}
