//! How scripts are filled.

use std::sync::Arc;

use stream_core::JobId;

use super::{Literal, Script};
use crate::{
    mysql::list::List,
    row::{Key, PutBack},
};

fn filled(sql: &str, slots: &[(&str, Literal<'_>)]) -> String {
    Script::from(Arc::<str>::from(sql)).filled(slots).0
}

#[test]
fn every_slot_is_filled_wherever_it_stands() {
    let slots = [("queue", Literal::Name("a-B_1")), ("most", Literal::Number(-7))];
    assert_eq!(filled("q = :queue LIMIT :most\nAND :queue", &slots), "q = 'a-B_1' LIMIT -7\nAND 'a-B_1'");
}

#[test]
fn bytes_are_digits_whatever_they_are() {
    let slots = [("errors", Literal::Bytes(b"\0'\\\xff"))];
    assert_eq!(filled("SUBSTRING(:errors, 1)", &slots), "SUBSTRING(x'00275cff', 1)");
}

#[test]
fn rows_are_numbers_and_digits_and_name_their_part_of_the_errors() {
    let key = Key { id: JobId::from_bytes([0xab; 16]), token: i64::MIN };
    let row = |error| PutBack { key, after: std::time::Duration::from_nanos(1), error };
    let (list, errors) = List::to_put_back(&[row(Some(b"\"x\"")), row(None), row(Some(b""))]);
    let id = "ab".repeat(16);
    let token = i64::MIN;
    let expected =
        format!("[[\"{id}\",{token},1,1,3],[\"{id}\",{token},1,null,null],[\"{id}\",{token},1,4,0]]");
    assert_eq!((list.as_str(), &errors[..]), (&expected[..], &b"\"x\""[..]));
    assert!(filled("x :ended", &[("ended", Literal::Rows(&list))]).ends_with("0]]'"));
}

#[test]
#[should_panic(expected = "checked when it is made")]
fn a_name_that_is_no_queue_is_never_sent() {
    filled(":queue", &[("queue", Literal::Name("a' OR ''='"))]);
}
