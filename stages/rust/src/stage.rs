//! What stage functions take and return.

use crate::contract::Rejection;

/// One batch, as a stage function returns it.
pub struct Output<M> {
    pub message: M,
    pub records: usize,
    pub filtered: usize,
    pub rejections: Vec<Rejection>,
}

/// A pure function from one message to the next. It fails if the message contradicts
/// itself.
pub type Function<In, Out> = fn(In) -> Result<Output<Out>, String>;

/// Folds the payloads that a sink is sent into the bytes of the result.
pub trait Accumulator: Default + Send {
    type Payload: prost::Message + prost::Name + Default;

    /// Adds one payload, and returns the bytes of the result that are final.
    fn add(&mut self, payload: Self::Payload) -> Result<Vec<u8>, String>;
    /// Returns how many records the payloads stand for.
    fn records(&self) -> u64;
    /// Returns the rest of the result.
    fn finish(&mut self) -> Result<Vec<u8>, String>;
}

/// Why a record is rejected.
pub struct Refusal {
    reason: &'static str,
    field: &'static str,
}

impl Refusal {
    pub fn new(reason: &'static str, field: &'static str) -> Self {
        Self { reason, field }
    }

    /// Returns the rejection of the record with this sequence number.
    pub fn rejection(&self, record: u64) -> Rejection {
        Rejection {
            record,
            reason: self.reason.into(),
            field: self.field.into(),
        }
    }
}

/// Fails unless a column has the right number of values.
pub fn check_column(name: &str, values: usize, want: usize) -> Result<(), String> {
    if values == want {
        return Ok(());
    }
    Err(format!("{name} has {values} values, not {want}"))
}
