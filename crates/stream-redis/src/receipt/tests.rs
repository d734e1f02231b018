//! Receipts and what is known of them.

use super::*;

fn lease(number: u16) -> Lease {
    let mut id = [0; ID_BYTES];
    id[14..].copy_from_slice(&number.to_be_bytes());
    Lease::new(2, id, Token([9; TOKEN_BYTES]))
}

#[test]
fn a_receipt_is_read_as_it_was_written_and_foreign_bytes_are_none() {
    let delivery = |bytes: &[u8]| {
        let envelope = stream_core::Envelope::new("x", stream_core::Codec::Raw, Vec::new());
        Delivery::new(Ok(envelope), Receipt::new(bytes))
    };
    let receipt = lease(7).to_receipt();
    assert_eq!(Lease::of(&delivery(receipt.as_bytes())), Some(lease(7)));
    let mut wrong = receipt.as_bytes().to_vec();
    assert_eq!(Lease::of(&delivery(&wrong[1..])), None);
    wrong[0] = 4;
    assert_eq!(Lease::of(&delivery(&wrong)), None);
}

#[test]
fn what_was_noted_is_known_until_others_displace_it() {
    let ended = Ended::default();
    let in_one_row: Vec<Lease> = (0..6).map(|number| lease(number * ROWS as u16 + 1)).collect();
    ended.note(in_one_row.iter().copied().chain([lease(2)]));

    let known: Vec<bool> = in_one_row.iter().map(|lease| ended.has(*lease)).collect();
    assert_eq!(known, [false, false, true, true, true, true]);
    assert!(ended.has(lease(2)) && !ended.has(lease(3)));
}

#[test]
fn members_are_long_enough_to_be_kept_in_a_tree() {
    let mut member = Vec::new();
    lease(7).write_member(&mut member);
    assert_eq!(member.len(), MEMBER_BYTES);
    assert_eq!(member[ID_BYTES..], Token([9; TOKEN_BYTES]).to_bytes());
}
