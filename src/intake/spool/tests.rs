use std::{fs::OpenOptions, io::Write, path::Path};

use super::*;
use crate::domain::{
    event::{Kind, Source, State},
    ids::{ApplicationId, LocationId},
};

pub(super) fn delivery(number: i64, body: &[u8]) -> Delivery {
    Delivery {
        key: Some([u8::try_from(number % 256).unwrap_or(0); 32]),
        application_id: ApplicationId(1),
        location_id: Some(LocationId(number)),
        kind: Kind::Entity {
            resource: "record".to_owned(),
            change: "created".to_owned(),
        },
        source: Source::Webhook,
        verdict: State::Received,
        reason: None,
        resource_id: Some(number),
        digest: [7; 32],
        fact: None,
        headers: serde_json::json!({"x-hook-id": "a"}),
        body: body.to_vec(),
        arrived_at: Some(Utc::now()),
    }
}

fn deliveries(numbers: std::ops::Range<i64>) -> Vec<Delivery> {
    numbers.map(|number| delivery(number, &[b'x'; 1000])).collect()
}

fn place(folder: &Path, limit: u64) -> Place {
    Place {
        folder: folder.join("spool"),
        limit,
    }
}

fn open(folder: &Path) -> Spool {
    Spool::open(&place(folder, 4 << 20)).expect("a spool")
}

/// Everything, oldest first; takes it out.
fn drain(spool: &mut Spool) -> Vec<i64> {
    let mut numbers = Vec::new();
    while let Some(chunk) = spool.next().expect("readable") {
        numbers.extend(chunk.deliveries.iter().filter_map(|delivery| delivery.resource_id));
        spool.done(&chunk);
    }
    numbers
}

fn waiting(folder: &Path) -> Vec<PathBuf> {
    folder::files(&folder.join("spool/1"), WAITING).expect("a folder")
}

#[test]
fn what_is_put_in_comes_out_in_order_across_files_and_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path());
    assert_eq!(spool.append(&deliveries(0..700)).0, 700);
    assert!(waiting(folder.path()).len() > 1, "several files");
    assert_eq!(spool.content().events, 700);
    drop(spool);
    let mut spool = open(folder.path());
    assert_eq!(spool.content().events, 700);
    assert_eq!(spool.append(&deliveries(700..710)).0, 10);
    let chunk = spool.next().expect("readable").expect("a chunk");
    let again = spool.next().expect("readable").expect("a chunk");
    assert_eq!(
        chunk.deliveries.len(),
        again.deliveries.len(),
        "nothing goes before it is done"
    );
    assert_eq!(drain(&mut spool), (0..710).collect::<Vec<_>>());
    let empty = spool.content();
    assert_eq!((empty.events, empty.bytes, empty.oldest), (0, 0, None));
    assert!(waiting(folder.path()).is_empty(), "no file is left");
}

#[test]
fn a_full_spool_takes_what_fits_and_has_room_again_after_it_was_emptied() {
    let folder = tempfile::tempdir().expect("a folder");
    let limit = 1 << 20;
    let mut spool = Spool::open(&place(folder.path(), limit)).expect("a spool");
    let (taken, trouble) = spool.append(&deliveries(0..2000));
    assert!(matches!(trouble, Some(Trouble::Full)), "{trouble:?}");
    assert!((500..1000).contains(&taken), "{taken}");
    let on_disk: u64 = waiting(folder.path())
        .iter()
        .map(|file| file.metadata().expect("a file").len())
        .sum();
    assert!(on_disk <= limit && on_disk == spool.content().bytes, "{on_disk}");
    assert_eq!(drain(&mut spool).len(), taken);
    assert_eq!(spool.append(&deliveries(0..10)).0, 10);
}

#[test]
fn a_write_that_a_crash_cut_short_costs_only_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path());
    spool.append(&deliveries(0..3));
    drop(spool);
    let file = waiting(folder.path()).remove(0);
    let whole = file.metadata().expect("a file").len();
    let mut bytes = OpenOptions::new().append(true).open(&file).expect("a file");
    for rest in [&record::frame(&delivery(3, b"never acknowledged"))[..40], &[0; 5000]] {
        bytes.set_len(whole).expect("cut");
        bytes.write_all(rest).expect("written");
        assert_eq!(open(folder.path()).content().events, 3);
    }
    let mut spool = open(folder.path());
    spool.append(&deliveries(3..5));
    assert_eq!(drain(&mut spool), [0, 1, 2, 3, 4]);
    assert_eq!(spool.content().set_aside, 0);
}

#[test]
fn a_damaged_file_is_read_up_to_the_damage_and_kept_for_people() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path());
    spool.append(&deliveries(0..3));
    drop(spool);
    let file = waiting(folder.path()).remove(0);
    let mut bytes = fs::read(&file).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).expect("written");
    let mut spool = open(folder.path());
    assert_eq!(drain(&mut spool), [0]);
    assert_eq!(spool.content().set_aside, 1);
    assert_eq!(fs::read(file.with_extension(DAMAGED)).expect("kept"), bytes);
    drop(spool);
    assert_eq!(open(folder.path()).content().set_aside, 1, "also after the next start");
}

#[test]
fn what_a_process_left_is_taken_over_and_what_a_living_one_has_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = open(folder.path());
    first.append(&deliveries(0..3));
    let mut second = open(folder.path());
    second.append(&deliveries(3..5));
    second.adopt().expect("looked");
    assert_eq!(second.content().events, 2, "the first lives");
    drop(first);
    second.adopt().expect("looked");
    assert_eq!(drain(&mut second), [0, 1, 2, 3, 4]);
    assert!(waiting(folder.path()).is_empty());
}

#[test]
fn what_no_database_takes_is_kept_for_people_and_can_be_put_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path());
    let unreadable = b"\x02\0\0\0{}no delivery".to_vec();
    spool.keep_refused(&deliveries(0..2), &[unreadable]).expect("kept");
    assert_eq!((spool.content().events, spool.content().set_aside), (0, 1));
    let own = folder.path().join("spool/1");
    let file = folder::files(&own, REFUSED).expect("a folder").remove(0);
    drop(spool);
    fs::rename(&file, file.with_extension(WAITING)).expect("put back");
    let mut spool = open(folder.path());
    let chunk = spool.next().expect("readable").expect("a chunk");
    assert_eq!((chunk.deliveries.len(), chunk.unreadable.len()), (2, 1));
}

#[test]
fn a_disk_smaller_than_the_limit_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(folder.path(), 1 << 60);
    let inspected = place.inspect().expect_err("too small").to_string();
    let opened = Spool::open(&place).err().expect("too small").to_string();
    assert!(
        opened.contains("spool.limit is") && opened.contains("Remedy: a smaller limit"),
        "{opened}"
    );
    assert_eq!(inspected.split("has").next(), opened.split("has").next());
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("spool"), "a file").expect("written");
    let opened = Spool::open(&place(folder.path(), 1 << 20))
        .err()
        .expect("no folder")
        .to_string();
    assert!(
        opened.contains("cannot make it") && opened.contains("spool.enabled = false"),
        "{opened}"
    );
}
