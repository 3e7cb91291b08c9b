//! The stages and the result of the workload `events`.

mod scanner;
mod timestamp;

use std::collections::BTreeMap;

use memchr::memchr_iter;
use num_bigint::BigInt;

use crate::contract::{Amounts, EventType, Events, Lines, Total, Totals};
use crate::exact;
use crate::stage::{Accumulator, Output, Refusal, check_column};
use scanner::{Kind, Span, scan, unquoted};

/// The largest magnitude of a value.
const MAX_VALUE: i64 = 1 << 53;
/// The least value that the rules keep.
const MIN_VALUE: i64 = 10;

struct Event {
    ts: String,
    kind: EventType,
    user: String,
    value: i64,
}

/// Reads every line as an event, or rejects it.
pub fn parse(lines: Lines) -> Result<Output<Events>, String> {
    let mut events = Events::default();
    let mut rejections = Vec::new();
    let mut too_long = lines.too_long.iter().peekable();
    let mut start = 0;
    for (position, end) in (0..).zip(memchr_iter(b'\n', &lines.text)) {
        let line = &lines.text[start..end];
        start = end + 1;
        let read = if too_long.next_if_eq(&&position).is_some() {
            Err(Refusal::new("line_too_long", ""))
        } else {
            read_event(line)
        };
        match read {
            Ok(event) => {
                events.ts.push(event.ts);
                events.r#type.push(event.kind.into());
                events.user.push(event.user);
                events.value.push(event.value);
            }
            Err(refusal) => rejections.push(refusal.rejection(lines.first_record + position)),
        }
    }
    Ok(Output {
        records: events.ts.len(),
        message: events,
        filtered: 0,
        rejections,
    })
}

fn read_event(line: &[u8]) -> Result<Event, Refusal> {
    let line = str::from_utf8(line).map_err(|_| Refusal::new("not_utf8", ""))?;
    if line
        .bytes()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
    {
        return Err(Refusal::new("blank_line", ""));
    }
    let (kind, fields) = scan(line, ["ts", "type", "user", "value"])
        .ok_or_else(|| Refusal::new("malformed_json", ""))?;
    if kind != Kind::Object {
        return Err(Refusal::new("not_an_object", ""));
    }
    let [ts, kind, user, value] = fields;
    let ts = text_of("ts", ts)?;
    let kind = text_of("type", kind)?;
    let user = text_of("user", user)?;
    let value = present("value", value)?;
    if value.kind != Kind::Number {
        return Err(Refusal::new("wrong_type", "value"));
    }
    if !timestamp::is_timestamp(&ts) {
        return Err(Refusal::new("bad_timestamp", "ts"));
    }
    let kind = match kind.as_str() {
        "click" => EventType::Click,
        "view" => EventType::View,
        "purchase" => EventType::Purchase,
        _ => return Err(Refusal::new("unknown_type", "type")),
    };
    let value = integral(value.raw).ok_or_else(|| Refusal::new("out_of_range", "value"))?;
    Ok(Event {
        ts,
        kind,
        user,
        value,
    })
}

fn present<'a>(name: &'static str, value: Option<Span<'a>>) -> Result<Span<'a>, Refusal> {
    value.ok_or_else(|| Refusal::new("missing_field", name))
}

fn text_of(name: &'static str, value: Option<Span>) -> Result<String, Refusal> {
    let value = present(name, value)?;
    let text = (value.kind == Kind::Text)
        .then(|| unquoted(value.raw))
        .flatten();
    text.ok_or_else(|| Refusal::new("wrong_type", name))
}

/// Returns a JSON number, truncated toward zero; `None` if it is out of range.
fn integral(digits: &str) -> Option<i64> {
    let value = if digits.contains(['.', 'e', 'E']) {
        let value: f64 = digits.parse().ok()?;
        // An f64 holds every integer up to the limit.
        (value.abs() <= MAX_VALUE as f64).then_some(value as i64)?
    } else {
        digits.parse().ok()?
    };
    (-MAX_VALUE..=MAX_VALUE).contains(&value).then_some(value)
}

/// Keeps events of a value that counts, which are no views.
pub fn rules(events: Events) -> Result<Output<Amounts>, String> {
    let count = events.r#type.len();
    check_column("Events.value", events.value.len(), count)?;
    let view = i32::from(EventType::View);
    let (kinds, values): (Vec<_>, Vec<_>) = events
        .r#type
        .into_iter()
        .zip(events.value)
        .filter(|&(kind, value)| value >= MIN_VALUE && kind != view)
        .unzip();
    Ok(Output {
        records: kinds.len(),
        filtered: count - kinds.len(),
        message: Amounts {
            r#type: kinds,
            value: values,
        },
        rejections: Vec::new(),
    })
}

/// Counts and sums the values of each type.
pub fn aggregate(amounts: Amounts) -> Result<Output<Totals>, String> {
    let count = amounts.r#type.len();
    check_column("Amounts.value", amounts.value.len(), count)?;
    // i128 holds the sum of as many i64 as fit into memory.
    let mut sums: BTreeMap<i32, (u64, i128)> = BTreeMap::new();
    for (kind, value) in amounts.r#type.into_iter().zip(amounts.value) {
        let (count, sum) = sums.entry(kind).or_default();
        *count += 1;
        *sum += i128::from(value);
    }
    let totals = sums
        .into_iter()
        .map(|(kind, (count, sum))| Total {
            r#type: kind,
            count,
            sum: exact::bytes(&sum.into()),
        })
        .collect();
    Ok(Output {
        message: Totals { totals },
        records: count,
        filtered: 0,
        rejections: Vec::new(),
    })
}

/// The result of `events`: one line a type.
#[derive(Default)]
pub struct EventTotals {
    totals: BTreeMap<String, (u64, BigInt)>,
}

impl Accumulator for EventTotals {
    type Payload = Totals;

    fn add(&mut self, payload: Totals) -> Result<Vec<u8>, String> {
        for total in payload.totals {
            let kind = EventType::try_from(total.r#type).map_err(|error| error.to_string())?;
            let key = kind
                .as_str_name()
                .trim_start_matches("EVENT_TYPE_")
                .to_lowercase();
            let (count, sum) = self.totals.entry(key).or_default();
            *count = count
                .checked_add(total.count)
                .ok_or("the counts of the totals exceed 64 bits")?;
            *sum += exact::integer(&total.sum);
        }
        Ok(Vec::new())
    }

    fn records(&self) -> u64 {
        let counts = self.totals.values().map(|(count, _)| *count);
        counts.fold(0, u64::saturating_add)
    }

    fn finish(&mut self) -> Result<Vec<u8>, String> {
        let mut lines = String::new();
        for (key, (count, sum)) in &self.totals {
            let average = exact::quotient(sum, &(*count).into()).ok_or_else(|| {
                format!("the average of {count} events of type {key} is no double")
            })?;
            let average = exact::text(average);
            lines += &format!(
                "{{\"key\":\"{key}\",\"count\":{count},\"sum\":{sum},\"avg\":{average}}}\n"
            );
        }
        Ok(lines.into_bytes())
    }
}
