//! Cuts a stream of lines into batches, without doing any I/O.

use std::time::{Duration, Instant};

use memchr::memchr;

use crate::contract::Lines;

/// When a batch is cut.
#[derive(Clone, Copy)]
pub struct Limits {
    pub batch_records: usize,
    pub batch_bytes: usize,
    /// The longest line, its end not counted.
    pub max_line_bytes: usize,
    /// Where to stop; 0 takes all.
    pub max_records: u64,
    /// How long a batch may wait for more lines.
    pub linger: Option<Duration>,
}

/// Cuts blocks of bytes into batches of whole lines.
pub struct LineBatcher {
    limits: Limits,
    taken: u64,
    batch: Lines,
    text: Vec<u8>,
    records: usize,
    due: Option<Instant>,
    /// The beginning of an unfinished line, or that it is too long and dropped.
    partial: Vec<u8>,
    is_dropping: bool,
}

impl LineBatcher {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: 0,
            batch: Lines::default(),
            text: Vec::new(),
            records: 0,
            due: None,
            partial: Vec::new(),
            is_dropping: false,
        }
    }

    /// Whether no more input is wanted.
    pub fn is_done(&self) -> bool {
        self.limits.max_records > 0 && self.taken >= self.limits.max_records
    }

    /// When the unfinished batch has waited long enough.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes the next bytes of the stream, and returns the batches that they fill.
    pub fn feed(&mut self, mut block: &[u8]) -> Vec<(usize, Lines)> {
        let mut batches = Vec::new();
        while let Some(end) = memchr(b'\n', block) {
            if self.is_done() {
                return batches;
            }
            let (head, rest) = (&block[..end], &block[end + 1..]);
            block = rest;
            if self.partial.is_empty() && !self.is_dropping {
                self.take(head, &mut batches);
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(head);
                self.take(&line, &mut batches);
            }
        }
        if !self.is_dropping {
            self.partial.extend_from_slice(block);
        }
        // One byte over may still be the CR of a line end.
        if self.partial.len() > self.limits.max_line_bytes.saturating_add(1) {
            self.partial = Vec::new();
            self.is_dropping = true;
        }
        batches
    }

    /// Takes the end of the stream, and returns what is left.
    pub fn finish(&mut self) -> Vec<(usize, Lines)> {
        let mut batches = Vec::new();
        if (!self.partial.is_empty() || self.is_dropping) && !self.is_done() {
            batches = self.feed(b"\n");
        }
        batches.extend(self.cut());
        batches
    }

    /// Returns the unfinished batch, if there is one; keeps a partial line.
    pub fn cut(&mut self) -> Option<(usize, Lines)> {
        if self.records == 0 {
            return None;
        }
        let records = std::mem::take(&mut self.records);
        let mut lines = std::mem::take(&mut self.batch);
        lines.text = std::mem::take(&mut self.text).into();
        self.due = None;
        Some((records, lines))
    }

    fn take(&mut self, line: &[u8], batches: &mut Vec<(usize, Lines)>) {
        let content = line.strip_suffix(b"\r").unwrap_or(line);
        let is_long = self.is_dropping || content.len() > self.limits.max_line_bytes;
        self.is_dropping = false;
        let line = if is_long { b"" } else { line };
        if self.text.len() + line.len() + 1 > self.limits.batch_bytes {
            batches.extend(self.cut());
        }
        if self.records == 0 {
            self.batch.first_record = self.taken + 1;
            self.due = self.limits.linger.map(|linger| Instant::now() + linger);
        }
        if is_long {
            self.batch.too_long.push(self.records as u64);
        }
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        self.records += 1;
        self.taken += 1;
        if self.records == self.limits.batch_records {
            batches.extend(self.cut());
        }
    }
}
