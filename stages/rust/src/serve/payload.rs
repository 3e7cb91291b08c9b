//! Payloads, and the statuses of calls that fail at a batch.

use prost::{Message, Name};
use prost_types::Any;
use tonic::{Code, Status};

use crate::contract::Batch;
use crate::stage::Output;

/// Decodes a payload, which must be of the given type.
pub fn unpack<M: Message + Name + Default>(payload: Option<&Any>) -> Result<M, String> {
    // Only what follows the last slash names the type; languages differ before it.
    let url = payload.map_or("", |payload| payload.type_url.as_str());
    let name = url.rsplit('/').next().unwrap_or_default();
    let Some(payload) = payload.filter(|_| name == M::full_name()) else {
        let sent = if name.is_empty() { "no payload" } else { name };
        return Err(format!("takes {}, was sent {sent}", M::full_name()));
    };
    M::decode(payload.value.as_slice())
        .map_err(|_| format!("was sent bytes that are no {}", M::full_name()))
}

/// Encodes the output of a stage as batch `number`.
pub fn pack<M: Message + Name>(number: u64, output: Output<M>) -> Batch {
    Batch {
        number,
        records: output.records as u64,
        filtered: output.filtered as u64,
        rejections: output.rejections,
        payload: Some(Any {
            type_url: format!("type.googleapis.com/{}", M::full_name()),
            value: output.message.encode_to_vec(),
        }),
        ..Batch::default()
    }
}

/// Returns the status of a call that failed at a batch.
pub fn failed(code: Code, batch: &Batch, why: &str) -> Status {
    let mut place = format!("batch {}", batch.number);
    if batch.first_record > 0 {
        place += &format!(", from record {}", batch.first_record);
    }
    Status::new(code, format!("{place}: {why}"))
}
