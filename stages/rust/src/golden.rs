//! Tests against the golden vectors, which the tests of every language share.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use prost::{Message, Name};
use prost_types::Any;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::contract::Batch;
use crate::serve::lines::{Limits, LineBatcher};
use crate::serve::payload::{pack, unpack};
use crate::stage::{Accumulator, Function};
use crate::{events, exact, items};

fn read<V: DeserializeOwned>(name: &str) -> Vec<V> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/golden");
    let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect(name);
    serde_json::from_str(&text).expect(name)
}

fn decoded(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).expect("is base64")
}

fn any(text: &str) -> Any {
    Any::decode(decoded(text).as_slice()).expect("is a payload")
}

#[derive(Deserialize)]
struct Double {
    bits: String,
    text: String,
}

#[test]
fn doubles_are_written_as_in_every_language() {
    for Double { bits, text } in read("doubles") {
        let value = f64::from_bits(u64::from_str_radix(&bits, 16).expect("is hexadecimal"));
        assert_eq!(exact::text(value), text, "{bits}");
    }
}

#[derive(Deserialize)]
struct Integer {
    integer: String,
    bytes: String,
}

#[test]
fn integers_have_the_fewest_bytes() {
    for Integer { integer, bytes } in read("integers") {
        let value = integer.parse().expect("is an integer");
        let encoded = exact::bytes(&value);
        let text: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, bytes, "{integer}");
        assert_eq!(exact::integer(&encoded), value);
    }
}

#[derive(Deserialize)]
struct Average {
    sum: String,
    count: u64,
    text: String,
}

#[test]
fn quotients_are_rounded_once() {
    for Average { sum, count, text } in read("averages") {
        let quotient = exact::quotient(&sum.parse().expect("is an integer"), &count.into());
        assert_eq!(quotient.map(exact::text), Some(text), "{sum} / {count}");
    }
}

#[derive(Deserialize)]
struct CutStream {
    stream: String,
    max_line_bytes: usize,
    batch_records: usize,
    batch_bytes: usize,
    max_records: u64,
    batches: Vec<CutBatch>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct CutBatch {
    first_record: u64,
    records: usize,
    text: String,
    too_long: Vec<u64>,
}

#[test]
fn streams_are_cut_however_they_arrive() {
    for vector in read::<CutStream>("line_batches") {
        let stream = decoded(&vector.stream);
        for block_bytes in 1..=stream.len().max(1) {
            let mut batcher = LineBatcher::new(Limits {
                batch_records: vector.batch_records,
                batch_bytes: vector.batch_bytes,
                max_line_bytes: vector.max_line_bytes,
                max_records: vector.max_records,
                linger: None,
            });
            let mut batches = Vec::new();
            for block in stream.chunks(block_bytes) {
                batches.extend(batcher.feed(block));
            }
            batches.extend(batcher.finish());
            let batches: Vec<_> = batches
                .into_iter()
                .map(|(records, lines)| CutBatch {
                    first_record: lines.first_record,
                    records,
                    text: BASE64_STANDARD.encode(&lines.text),
                    too_long: lines.too_long,
                })
                .collect();
            assert_eq!(
                batches, vector.batches,
                "{stream:?} in blocks of {block_bytes}"
            );
        }
    }
}

#[derive(Deserialize)]
struct Answered {
    workload: String,
    stage: String,
    request: String,
    reply: String,
    records: u64,
    filtered: u64,
    rejections: Vec<Rejected>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Rejected {
    record: u64,
    reason: String,
    field: String,
}

#[test]
fn stages_answer_as_in_every_language() {
    for vector in read::<Answered>("stages") {
        let request = any(&vector.request);
        let reply = match (vector.workload.as_str(), vector.stage.as_str()) {
            ("events", "parse") => answer(events::parse, &request),
            ("events", "rules") => answer(events::rules, &request),
            ("events", "aggregate") => answer(events::aggregate, &request),
            ("work-items", "parse") => answer(items::parse, &request),
            ("work-items", "rules") => answer(items::rules, &request),
            ("work-items", "aggregate") => answer(items::aggregate, &request),
            other => panic!("{other:?}: no such stage"),
        };
        let rejections: Vec<_> = reply
            .rejections
            .into_iter()
            .map(|one| Rejected {
                record: one.record,
                reason: one.reason,
                field: one.field,
            })
            .collect();
        let name = format!("{} of {}", vector.stage, vector.workload);
        assert_eq!(rejections, vector.rejections, "{name}");
        assert_eq!(
            (reply.records, reply.filtered),
            (vector.records, vector.filtered),
            "{name}"
        );
        assert_eq!(reply.payload, Some(any(&vector.reply)), "{name}");
    }
}

fn answer<In, Out>(function: Function<In, Out>, request: &Any) -> Batch
where
    In: Message + Name + Default,
    Out: Message + Name,
{
    let message = unpack(Some(request)).expect("is what the stage takes");
    pack(0, function(message).expect("has right columns"))
}

#[derive(Deserialize)]
struct Published {
    workload: String,
    payloads: Vec<String>,
    records: u64,
    result: String,
}

#[test]
fn results_are_the_same_bytes_in_every_language() {
    for vector in read::<Published>("results") {
        let payloads: Vec<_> = vector.payloads.iter().map(|payload| any(payload)).collect();
        let (records, result) = match vector.workload.as_str() {
            "events" => fold::<events::EventTotals>(&payloads),
            _ => fold::<items::ItemScores>(&payloads),
        };
        assert_eq!((records, result), (vector.records, vector.result));
    }
}

fn fold<A: Accumulator>(payloads: &[Any]) -> (u64, String) {
    let mut accumulator = A::default();
    let mut result = Vec::new();
    for payload in payloads {
        let payload = unpack(Some(payload)).expect("is what the sink takes");
        result.extend(accumulator.add(payload).expect("has right columns"));
    }
    result.extend(accumulator.finish().expect("has counts"));
    (
        accumulator.records(),
        String::from_utf8(result).expect("is UTF-8"),
    )
}
