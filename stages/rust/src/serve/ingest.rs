//! Serves a source of lines: `Ingest.Read` of the contract.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::folders::{Folders, STANDARD_INPUT};
use super::lines::{Limits, LineBatcher};
use super::payload::{pack, unpack};
use super::timing::{Meter, ThreadClock};
use crate::contract::ingest_server::Ingest;
use crate::contract::{Batch, LineSource, Lines, ReadRequest, Timing};
use crate::stage::Output;

const BLOCK_BYTES: usize = 256 * 1024;
/// How often a reader of a pipe looks whether the call has ended.
const POLL: Duration = Duration::from_millis(100);

pub struct Source {
    pub folders: Folders,
}

type Batches = mpsc::Sender<Result<Batch, Status>>;

#[tonic::async_trait]
impl Ingest for Source {
    type ReadStream = ReceiverStream<Result<Batch, Status>>;

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let request = request.into_inner();
        let source: LineSource =
            unpack(request.source.as_ref()).map_err(Status::invalid_argument)?;
        let limits = limits_of(&request, &source)?;
        let input = Input::open(&self.folders, &source.path)?;
        // One batch waits to be sent, so a client that does not read stops the reading.
        let (batches, stream) = mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            let mut meter = Meter::new();
            let end = match send_all(input, limits, &batches, &mut meter) {
                Ok(send_ns) => meter.end(send_ns),
                Err(End::Failed(status)) => status,
                Err(End::Cancelled) => return,
            };
            // If nobody reads any more, the call was cancelled.
            let _ = batches.blocking_send(Err(end));
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

fn limits_of(request: &ReadRequest, source: &LineSource) -> Result<Limits, Status> {
    let at_least_1 = |name: &str, value: u64| match usize::try_from(value) {
        Ok(value) if value > 0 => Ok(value),
        _ => Err(Status::invalid_argument(format!(
            "{name} {value}: must be 1 or more"
        ))),
    };
    Ok(Limits {
        batch_records: at_least_1("batch size", request.batch_records)?,
        batch_bytes: at_least_1("batch bytes", request.batch_bytes)?,
        max_line_bytes: at_least_1("line limit", source.max_line_bytes)?,
        max_records: request.max_records,
        linger: (request.linger_ns > 0).then(|| Duration::from_nanos(request.linger_ns)),
    })
}

/// Why the batches of a call end early.
enum End {
    Failed(Status),
    Cancelled,
}

/// Sends everything in the input, and returns how long the last batch took to send.
fn send_all(
    mut input: Input,
    limits: Limits,
    batches: &Batches,
    meter: &mut Meter,
) -> Result<u64, End> {
    let mut cpu = ThreadClock::new();
    let (mut number, mut send_ns, mut waited) = (0, 0, Duration::ZERO);
    let mut send = |(records, lines): (usize, Lines), waited: &mut Duration, meter: &mut Meter| {
        let wait_ns = u64::try_from(std::mem::take(waited).as_nanos()).unwrap_or(u64::MAX);
        let process_ns = meter.lap().saturating_sub(wait_ns);
        let process_cpu_ns = cpu.lap();
        let output = Output {
            message: lines,
            records,
            filtered: 0,
            rejections: Vec::new(),
        };
        let mut batch = pack(number, output);
        number += 1;
        batch.timing = Some(Timing {
            wait_ns,
            process_ns,
            process_cpu_ns,
            encode_ns: meter.lap(),
            encode_cpu_ns: cpu.lap(),
            send_ns,
            process_total_cpu_ns: meter.process_lap(),
            ..Timing::default()
        });
        batches
            .blocking_send(Ok(batch))
            .map_err(|_| End::Cancelled)?;
        send_ns = meter.lap();
        Ok(())
    };
    let mut batcher = LineBatcher::new(Limits {
        linger: limits.linger.filter(|_| input.is_pipe()),
        ..limits
    });
    let mut block = input.head(batches)?;
    loop {
        for batch in batcher.feed(&block) {
            send(batch, &mut waited, meter)?;
        }
        if batcher.is_done() {
            break;
        }
        // Lines may have come again and again, so that no read was ever late.
        if batcher.due().is_some_and(|due| due <= Instant::now())
            && let Some(batch) = batcher.cut()
        {
            send(batch, &mut waited, meter)?;
        }
        let began = Instant::now();
        let read = input.read_until(batcher.due(), batches)?;
        if input.is_pipe() {
            waited += began.elapsed();
        }
        match read {
            Some(bytes) if bytes.is_empty() => break,
            Some(bytes) => block = bytes,
            None => block = Vec::new(),
        }
    }
    for batch in batcher.finish() {
        send(batch, &mut waited, meter)?;
    }
    Ok(send_ns)
}

/// A file, a pipe or standard input.
struct Input {
    file: File,
    /// Names it in errors.
    name: String,
    kind: InputKind,
}

enum InputKind {
    /// A file that must not change while it is read, except that it may grow.
    Regular {
        path: Option<PathBuf>,
        opened: Box<Metadata>,
        left: u64,
    },
    Pipe,
}

impl Input {
    fn open(folders: &Folders, name: &str) -> Result<Self, Status> {
        if name == STANDARD_INPUT {
            if !folders.standard_input {
                return Err(Status::failed_precondition(
                    "ingest does not serve standard input",
                ));
            }
            let file = std::io::stdin()
                .as_fd()
                .try_clone_to_owned()
                .map(File::from);
            return Self::of(file, "standard input", None);
        }
        let Some(path) = folders.locate(name) else {
            return Err(Status::failed_precondition(format!(
                "can't read {name}: it is outside the folders that ingest serves"
            )));
        };
        // Opening a pipe would wait for a writer otherwise.
        let flags = OFlag::O_NONBLOCK.bits();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&path);
        Self::of(file, name, Some(path))
    }

    fn of(file: std::io::Result<File>, name: &str, path: Option<PathBuf>) -> Result<Self, Status> {
        let opened = file.and_then(|file| {
            let metadata = file.metadata()?;
            Ok((file, metadata))
        });
        let (file, metadata) = opened.map_err(|error| cannot_read(name, &error))?;
        if metadata.is_dir() {
            return Err(Status::failed_precondition(format!(
                "can't read {name}: it is a folder"
            )));
        }
        let kind = if metadata.is_file() {
            // Standard input may have been read from before.
            let position = (&file).stream_position();
            let position = position.map_err(|error| cannot_read(name, &error))?;
            let left = metadata.len().saturating_sub(position);
            InputKind::Regular {
                path,
                opened: Box::new(metadata),
                left,
            }
        } else {
            InputKind::Pipe
        };
        Ok(Self {
            file,
            name: name.into(),
            kind,
        })
    }

    fn is_pipe(&self) -> bool {
        matches!(self.kind, InputKind::Pipe)
    }

    /// Returns the first block, without a byte order mark.
    fn head(&mut self, batches: &Batches) -> Result<Vec<u8>, End> {
        const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"];
        let mut head: Vec<u8> = Vec::new();
        loop {
            let Some(block) = self.read_until(None, batches)? else {
                continue;
            };
            head.extend(&block);
            let may_be_mark = MARKS
                .iter()
                .any(|mark| head.len() < mark.len() && mark.starts_with(&head));
            if block.is_empty() || !may_be_mark {
                break;
            }
        }
        for (mark, kind) in [(MARKS[1], "gzip"), (MARKS[2], "zstd")] {
            if head.starts_with(mark) {
                return Err(End::Failed(Status::failed_precondition(format!(
                    "can't read {}: it is compressed by {kind}; decompress it first",
                    self.name
                ))));
            }
        }
        if head.starts_with(MARKS[0]) {
            head.drain(..MARKS[0].len());
        }
        Ok(head)
    }

    /// Returns the next block, empty at the end; `None` if there is none by `due`.
    fn read_until(
        &mut self,
        due: Option<Instant>,
        batches: &Batches,
    ) -> Result<Option<Vec<u8>>, End> {
        match &mut self.kind {
            InputKind::Regular { path, opened, left } => {
                // Files of /proc say that they have no bytes, and are read to their end.
                let has_size = opened.len() > 0;
                let most = if has_size { *left } else { u64::MAX };
                let mut block = Vec::new();
                self.file
                    .by_ref()
                    .take(most.min(BLOCK_BYTES as u64))
                    .read_to_end(&mut block)
                    .map_err(|error| End::Failed(cannot_read(&self.name, &error)))?;
                if has_size {
                    *left -= block.len() as u64;
                    let is_end = *left == 0;
                    let changed = if block.is_empty() && !is_end {
                        Some("truncated")
                    } else {
                        changed(&self.file, opened, path.as_ref().filter(|_| is_end))
                    };
                    if let Some(how) = changed {
                        return Err(End::Failed(Status::failed_precondition(format!(
                            "{} was {how} while it was read; run again when nothing changes it",
                            self.name
                        ))));
                    }
                }
                Ok(Some(block))
            }
            InputKind::Pipe => self.read_pipe(due, batches).map_err(|error| match error {
                PipeError::Io(error) => End::Failed(cannot_read(&self.name, &error)),
                PipeError::Cancelled => End::Cancelled,
            }),
        }
    }

    fn read_pipe(
        &mut self,
        due: Option<Instant>,
        batches: &Batches,
    ) -> Result<Option<Vec<u8>>, PipeError> {
        loop {
            let left = due.map_or(POLL, |due| {
                due.saturating_duration_since(Instant::now()).min(POLL)
            });
            // Rounded up, since a wait of 0 ms would be a busy one.
            let timeout = u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
            let mut polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut polled, PollTimeout::from(timeout)) {
                Err(Errno::EINTR) => continue,
                outcome => outcome.map_err(std::io::Error::from)?,
            };
            // At its end, a pipe has no data to read but another event.
            if polled[0].any() != Some(false) {
                let mut block = vec![0; BLOCK_BYTES];
                match self.file.read(&mut block) {
                    Ok(count) => {
                        block.truncate(count);
                        return Ok(Some(block));
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if batches.is_closed() {
                return Err(PipeError::Cancelled);
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                return Ok(None);
            }
        }
    }
}

enum PipeError {
    Io(std::io::Error),
    Cancelled,
}

impl From<std::io::Error> for PipeError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Returns how a file has changed since it was opened; `path` is where it must still be.
fn changed(file: &File, opened: &Metadata, path: Option<&PathBuf>) -> Option<&'static str> {
    let now = file.metadata().ok()?;
    if now.len() < opened.len() {
        return Some("truncated");
    }
    // A larger file was appended to, and what was there before is read.
    if now.len() == opened.len() && now.modified().ok() != opened.modified().ok() {
        return Some("written to");
    }
    match path?.metadata() {
        Err(_) => Some("removed"),
        Ok(there) if (there.dev(), there.ino()) != (opened.dev(), opened.ino()) => Some("replaced"),
        Ok(_) => None,
    }
}

fn cannot_read(name: &str, error: &std::io::Error) -> Status {
    Status::failed_precondition(format!("can't read {name}: {}", said(error)))
}

/// Returns what an error says, without its number.
pub fn said(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or(&text)
        .to_lowercase()
}
