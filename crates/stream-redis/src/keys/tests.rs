//! Keys and their slots.

use super::*;

#[test]
fn slots_are_those_of_the_cluster_specification() {
    // The check value of CRC16/XMODEM.
    assert_eq!(slot(b"123456789"), 0x31c3 % SLOTS);
    // As `CLUSTER KEYSLOT` answers.
    assert_eq!(slot(b"default"), 5_718);
}

#[test]
fn keys_begin_with_the_prefix_and_share_the_tag() {
    let keys = Keys::new("shop", &QueueName::new("mail-low").expect("legal"));
    let text = |value: &Value| value.as_string().expect("text");
    assert_eq!(text(&keys.jobs), "shop:{mail-low}:jobs");
    assert_eq!(text(&keys.ready[3]), "shop:{mail-low}:ready:low");
    assert_eq!(keys.waiting().count(), 12);
}
