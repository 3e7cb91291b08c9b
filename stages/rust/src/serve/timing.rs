//! Where the time of a batch goes.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::contract::Timing;

/// The trailing metadata with what was spent after the last message.
const TIMING_KEY: &str = "pipeline-timing-bin";

/// Takes the times of one call.
pub struct Meter {
    last: Instant,
    process_cpu: Duration,
}

impl Meter {
    pub fn new() -> Self {
        Self {
            last: Instant::now(),
            process_cpu: process_cpu(),
        }
    }

    /// Returns the nanoseconds since the last call.
    pub fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let spent = now - self.last;
        self.last = now;
        nanoseconds(spent)
    }

    /// Returns the CPU nanoseconds of the process since the last call.
    pub fn process_lap(&mut self) -> u64 {
        let now = process_cpu();
        let spent = now.saturating_sub(self.process_cpu);
        self.process_cpu = now;
        nanoseconds(spent)
    }

    /// Returns the end of a stream: a status OK, with what was spent since its last message.
    pub fn end(mut self, send_ns: u64) -> Status {
        let timing = Timing {
            wait_ns: self.lap(),
            send_ns,
            process_total_cpu_ns: self.process_lap(),
            peak_rss_bytes: peak_rss_bytes(),
            ..Timing::default()
        };
        let mut trailers = MetadataMap::new();
        let encoded = MetadataValue::from_bytes(&timing.encode_to_vec());
        trailers.insert_bin(TIMING_KEY, encoded);
        Status::with_metadata(Code::Ok, "", trailers)
    }
}

/// Takes the CPU times of one thread. Waiting and sending have none of their own, since a
/// task changes threads meanwhile.
pub struct ThreadClock(Duration);

impl ThreadClock {
    pub fn new() -> Self {
        Self(thread_cpu())
    }

    /// Returns the CPU nanoseconds of this thread since the last call.
    pub fn lap(&mut self) -> u64 {
        let now = thread_cpu();
        let spent = now.saturating_sub(self.0);
        self.0 = now;
        nanoseconds(spent)
    }
}

/// Returns the most memory that the process had resident.
pub fn peak_rss_bytes() -> u64 {
    // Linux passes the peak of getrusage on from the parent process, so it may be too high.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok());
    if let Some(kib) = peak {
        return kib * 1024;
    }
    // Linux counts it in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    getrusage(UsageWho::RUSAGE_SELF)
        .ok()
        .and_then(|usage| u64::try_from(usage.max_rss()).ok())
        .map_or(0, |peak| peak * unit)
}

fn process_cpu() -> Duration {
    cpu(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn thread_cpu() -> Duration {
    cpu(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn cpu(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
