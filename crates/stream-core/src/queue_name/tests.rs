//! Legal and illegal names.

use super::*;
use crate::ErrorKind;

#[test]
fn legal_names_are_kept_as_they_are() {
    for name in ["a", "A", "a-dead", "a_high", "0", &"x".repeat(48)] {
        assert_eq!(QueueName::new(name).unwrap().as_str(), name);
    }
}

#[test]
fn a_bad_name_is_refused_with_the_rule_in_the_message() {
    for name in ["", " ", "a b", "a.b", "ä", "a\0", "a/b", "{a}", &"x".repeat(49), &"x".repeat(1 << 20)] {
        let error = QueueName::new(name).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Config);
        assert!(error.to_string().contains("1 to 48 of A-Z"), "{error}");
        assert!(error.to_string().len() < 400);
    }
}
