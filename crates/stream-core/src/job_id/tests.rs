//! The form, order and uniqueness of ids.

use std::collections::HashSet;

use super::*;

#[test]
fn an_id_is_a_uuid_of_version_7() {
    let before = SystemTime::now();
    let id = JobId::new();
    let second = Duration::from_secs(1);
    assert!(id.made_at() > before - second && id.made_at() < before + 60 * second);
    let text = id.to_string();
    assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert_eq!(&text[14..15], "7");
    assert!("89ab".contains(&text[19..20]), "{text}");
    assert_eq!(text.parse::<JobId>().unwrap(), id);
}

#[test]
fn what_is_no_uuid_is_refused() {
    for text in
        ["", "x", "+1234567890123456789012345678901", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32)]
    {
        assert!(text.parse::<JobId>().is_err(), "{text}");
    }
}

#[test]
fn ids_of_many_threads_are_unique_and_each_threads_ids_rise() {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                let ids: Vec<_> = (0..50_000).map(|_| JobId::new()).collect();
                assert!(ids.is_sorted());
                ids
            })
        })
        .collect();
    let ids: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
}
