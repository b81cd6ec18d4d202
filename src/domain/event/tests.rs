use super::*;

#[test]
fn every_kind_survives_being_written_and_read() {
    for (name, kind) in Kind::FIXED {
        assert_eq!(kind.to_string(), name);
        assert_eq!(name.parse::<Kind>(), Ok(kind));
    }
    let kind = Kind::of_entity("company", "update");
    assert_eq!(kind.to_string(), "location.updated");
    assert_eq!("location.updated".parse::<Kind>(), Ok(kind));
}

#[test]
fn words_nobody_knows_are_kept_but_do_not_become_labels() {
    let kind = Kind::of_entity("record", "visit_confirmed");
    assert_eq!(kind.to_string(), "record.visit_confirmed");
    assert_eq!(kind.label(), "other");
    assert_eq!(Kind::of_entity("a.b c", "").to_string(), "a_b_c.none");
}
