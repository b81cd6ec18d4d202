//! A delivery as bytes: a length, a checksum, a head in JSON, the body as it is.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use crc::{CRC_32_ISO_HDLC, Crc, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    domain::{
        event::{Fact, Kind, Source, State},
        ids::{ApplicationId, LocationId},
    },
    store::events::Delivery,
};

const CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// Length and checksum, four bytes each.
pub(super) const FRAME: usize = 8;

/// Nothing that was written is longer; a larger number is no length.
const LONGEST: usize = 256 * 1024 * 1024;

/// Everything but the body. Another version may read it, so fields are added and not renamed.
#[derive(Serialize, Deserialize)]
struct Head {
    key: Option<String>,
    application: ApplicationId,
    location: Option<LocationId>,
    kind: String,
    source: Source,
    verdict: State,
    reason: Option<String>,
    resource: Option<i64>,
    digest: String,
    fact: Option<Fact>,
    headers: Value,
    arrived_at: Option<DateTime<Utc>>,
}

/// A delivery, framed.
pub(super) fn frame(delivery: &Delivery) -> Vec<u8> {
    let head = Head {
        key: delivery.key.map(hex::encode),
        application: delivery.application_id,
        location: delivery.location_id,
        kind: delivery.kind.to_string(),
        source: delivery.source,
        verdict: delivery.verdict,
        reason: delivery.reason.as_deref().map(str::to_owned),
        resource: delivery.resource_id,
        digest: hex::encode(delivery.digest),
        fact: delivery.fact.clone(),
        headers: delivery.headers.clone(),
        arrived_at: delivery.arrived_at,
    };
    let head = serde_json::to_vec(&head).expect("plain data");
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes();
    framed(&[&length, head.as_slice(), &delivery.body])
}

/// A content, framed.
pub(super) fn framed(content: &[&[u8]]) -> Vec<u8> {
    let length: usize = content.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(FRAME + length);
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend([0; 4]);
    content.iter().for_each(|part| bytes.extend(*part));
    let sum = CHECKSUM.checksum(&bytes[FRAME..]).to_le_bytes();
    bytes[4..FRAME].copy_from_slice(&sum);
    bytes
}

/// The length that a frame announces, when it can be one.
pub(super) fn announced(frame: [u8; FRAME]) -> Option<usize> {
    let length = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    (4..=LONGEST).contains(&length).then_some(length)
}

/// Whether these are the bytes that the frame announces.
pub(super) fn intact(frame: [u8; FRAME], content: &[u8]) -> bool {
    CHECKSUM.checksum(content).to_le_bytes() == frame[4..]
}

/// Reads the content of a frame.
pub(super) fn read(content: &[u8]) -> Result<Delivery, String> {
    let (head, body) = split(content)?;
    let head: Head = serde_json::from_slice(head).map_err(|error| error.to_string())?;
    Ok(Delivery {
        key: head.key.as_deref().map(digest).transpose()?,
        application_id: head.application,
        location_id: head.location,
        kind: head.kind.parse().unwrap_or(Kind::Unknown),
        source: head.source,
        verdict: head.verdict,
        reason: head.reason.map(Cow::Owned),
        resource_id: head.resource,
        digest: digest(&head.digest)?,
        fact: head.fact,
        headers: head.headers,
        body: body.to_vec(),
        arrived_at: head.arrived_at,
    })
}

/// When it arrived.
pub(super) fn arrived_at(content: &[u8]) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Arrival {
        arrived_at: Option<DateTime<Utc>>,
    }
    let (head, _) = split(content).ok()?;
    serde_json::from_slice::<Arrival>(head).ok()?.arrived_at
}

fn split(content: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let (length, rest) = content.split_first_chunk::<4>().ok_or("it is too short")?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
        .ok_or_else(|| "its head is longer than itself".to_owned())
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::spool::tests::delivery;

    #[test]
    fn every_field_comes_back() {
        let mut wanted = delivery(7, b"\x00\xff{\"a\": 1}");
        wanted.reason = Some("because".into());
        wanted.fact = Some(Fact::ConnectOpened { signed: true });
        wanted.arrived_at = Some(Utc::now());
        let bytes = frame(&wanted);
        let (head, content) = bytes.split_first_chunk::<FRAME>().expect("long enough");
        assert_eq!(announced(*head), Some(content.len()));
        assert!(intact(*head, content));
        let found = read(content).expect("a delivery");
        assert_eq!(format!("{found:?}"), format!("{wanted:?}"));
        assert_eq!(arrived_at(content), wanted.arrived_at);
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let bytes = frame(&delivery(7, b"body"));
        let (head, content) = bytes.split_first_chunk::<FRAME>().expect("long enough");
        for place in 0..content.len() {
            let mut changed = content.to_vec();
            changed[place] ^= 1;
            assert!(!intact(*head, &changed), "byte {place}");
        }
    }
}
