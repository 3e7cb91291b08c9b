//! The stages and the result of the workload `work-items`.
//!
//! The order of every operation is in `work_items.proto`. Rust neither reorders them nor
//! fuses a multiplication and an addition.

use num_bigint::{BigInt, Sign};
use num_traits::One;

use crate::contract::{ParsedItems, ScoreTotals, ScoredItems, Scores, WorkItems};
use crate::exact;
use crate::stage::{Accumulator, Output, Refusal, check_column};

const FEATURES: usize = 5;
/// The iterations of the final score.
const FINAL_ITERATIONS: u32 = 50;
/// Every double is a multiple of 2^-1074.
const MIN_EXPONENT: u32 = 1074;

/// Normalises the vectors of every item, transposes its matrix and computes a checksum, or
/// rejects it.
pub fn parse(items: WorkItems) -> Result<Output<ParsedItems>, String> {
    let count = items.size.len();
    let (values, squares) = sizes(&items.size);
    check_column("WorkItems.record", items.record.len(), count)?;
    check_column("WorkItems.id", items.id.len(), count)?;
    check_column("WorkItems.first", items.first.len(), values)?;
    check_column("WorkItems.second", items.second.len(), values)?;
    check_column("WorkItems.matrix", items.matrix.len(), squares)?;
    check_column("WorkItems.text", items.text.len(), count)?;
    check_column("WorkItems.iterations", items.iterations.len(), count)?;
    let mut parsed = ParsedItems::default();
    let mut rejections = Vec::new();
    let (mut first, mut second) = (items.first.as_slice(), items.second.as_slice());
    let mut matrix = items.matrix.as_slice();
    for (position, &size) in items.size.iter().enumerate() {
        let n = size as usize;
        let vectors = [take(&mut first, n), take(&mut second, n)];
        let rows = take(&mut matrix, n * n);
        let normalised = match normalise(vectors, rows) {
            Ok(normalised) => normalised,
            Err(refusal) => {
                rejections.push(refusal.rejection(items.record[position]));
                continue;
            }
        };
        let iterations = items.iterations[position];
        parsed.record.push(items.record[position]);
        parsed.id.push(items.id[position]);
        parsed.size.push(size);
        parsed.iterations.push(iterations);
        parsed
            .checksum
            .push(sum(normalised.iter().map(|&value| work(value, iterations))));
        parsed.normalised.extend(normalised);
        for column in 0..n {
            parsed.matrix.extend(rows[column..].iter().step_by(n));
        }
    }
    Ok(Output {
        records: parsed.id.len(),
        message: parsed,
        filtered: 0,
        rejections,
    })
}

/// Returns both vectors divided by their norms, one after the other.
fn normalise(vectors: [&[f64]; 2], matrix: &[f64]) -> Result<Vec<f64>, Refusal> {
    let [first, second] = vectors;
    if first.is_empty() {
        return Err(Refusal::new("empty_vector", ""));
    }
    for (name, values) in [("first", first), ("second", second), ("matrix", matrix)] {
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Refusal::new("not_finite", name));
        }
    }
    let mut normalised = Vec::with_capacity(first.len() + second.len());
    for (name, vector) in [("first", first), ("second", second)] {
        let norm = sum(vector.iter().map(|value| value * value)).sqrt();
        if !norm.is_finite() {
            return Err(Refusal::new("out_of_range", name));
        }
        let norm = if norm == 0.0 { 1.0 } else { norm };
        normalised.extend(vector.iter().map(|value| value / norm));
    }
    Ok(normalised)
}

/// Computes the features and the score of every item; rejects those that are too large.
pub fn rules(items: ParsedItems) -> Result<Output<ScoredItems>, String> {
    let count = items.size.len();
    let (values, squares) = sizes(&items.size);
    if items.size.contains(&0) {
        return Err("ParsedItems.size has a 0, which parse refuses".into());
    }
    check_column("ParsedItems.record", items.record.len(), count)?;
    check_column("ParsedItems.id", items.id.len(), count)?;
    check_column("ParsedItems.iterations", items.iterations.len(), count)?;
    check_column("ParsedItems.normalised", items.normalised.len(), 2 * values)?;
    check_column("ParsedItems.matrix", items.matrix.len(), squares)?;
    check_column("ParsedItems.checksum", items.checksum.len(), count)?;
    let mut scored = ScoredItems::default();
    let mut rejections = Vec::new();
    let mut normalised = items.normalised.as_slice();
    let mut matrix = items.matrix.as_slice();
    for (position, &size) in items.size.iter().enumerate() {
        let n = size as usize;
        let values = take(&mut normalised, 2 * n);
        let matrix_total = sum(take(&mut matrix, n * n).iter().copied());
        let mean = sum(values.iter().copied()) / values.len() as f64;
        let squares = sum(values.iter().map(|value| (value - mean) * (value - mean)));
        let checksum = items.checksum[position];
        let score = work((checksum + matrix_total) + mean, items.iterations[position]);
        let too_large = [("matrix_total", matrix_total), ("score", score)]
            .into_iter()
            .find(|(_, value)| !value.is_finite());
        if let Some((name, _)) = too_large {
            let refusal = Refusal::new("out_of_range", name);
            rejections.push(refusal.rejection(items.record[position]));
            continue;
        }
        scored.record.push(items.record[position]);
        scored.id.push(items.id[position]);
        scored.mean.push(mean);
        scored
            .deviation
            .push((squares / values.len() as f64).sqrt());
        let padding = std::iter::repeat(0.0);
        scored
            .features
            .extend(values.iter().copied().chain(padding).take(FEATURES));
        scored.matrix_total.push(matrix_total);
        scored.score.push(score);
    }
    Ok(Output {
        records: scored.id.len(),
        message: scored,
        filtered: 0,
        rejections,
    })
}

/// Finishes the scores and totals them; rejects those that are too large.
pub fn aggregate(items: ScoredItems) -> Result<Output<Scores>, String> {
    let count = items.id.len();
    check_column("ScoredItems.record", items.record.len(), count)?;
    check_column("ScoredItems.mean", items.mean.len(), count)?;
    check_column("ScoredItems.deviation", items.deviation.len(), count)?;
    check_column(
        "ScoredItems.features",
        items.features.len(),
        FEATURES * count,
    )?;
    check_column("ScoredItems.matrix_total", items.matrix_total.len(), count)?;
    check_column("ScoredItems.score", items.score.len(), count)?;
    let max_score = 2f64.powi(960);
    let mut scores = Scores::default();
    let mut rejections = Vec::new();
    let features = items.features.chunks_exact(FEATURES);
    for (position, features) in features.enumerate() {
        let record = items.record[position];
        let score = final_score(items.score[position], features);
        // NaN is not in the range either.
        if !(-max_score..=max_score).contains(&score) {
            rejections.push(Refusal::new("out_of_range", "final_score").rejection(record));
            continue;
        }
        scores.record.push(record);
        scores.id.push(items.id[position]);
        scores.final_score.push(score);
    }
    scores.totals = Some(totals_of(&scores.final_score));
    Ok(Output {
        records: scores.id.len(),
        message: scores,
        filtered: 0,
        rejections,
    })
}

fn final_score(score: f64, features: &[f64]) -> f64 {
    let neighbours = sum(features.windows(2).map(|pair| (pair[0] * pair[1]).abs()));
    let worked = work(score + sum(features.iter().copied()), FINAL_ITERATIONS);
    worked + 0.1 * neighbours
}

/// Returns the sum of value · (i · 0.001) for i from 1 to `iterations`.
fn work(value: f64, iterations: u32) -> f64 {
    sum((1..=iterations).map(|i| value * (f64::from(i) * 0.001)))
}

/// Adds from left to right, starting at +0. `Iterator::sum` starts at -0.
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |total, value| total + value)
}

fn take<'a>(values: &mut &'a [f64], count: usize) -> &'a [f64] {
    let (taken, rest) = values.split_at(count);
    *values = rest;
    taken
}

/// Returns how many values the vectors have, and the matrices.
fn sizes(each: &[u32]) -> (usize, usize) {
    each.iter().fold((0, 0), |(values, squares), &size| {
        let size = size as usize;
        (values + size, squares + size * size)
    })
}

/// Returns the totals of final scores, which are finite.
fn totals_of(scores: &[f64]) -> ScoreTotals {
    let Some(&first) = scores.first() else {
        return ScoreTotals::default();
    };
    let units = scores.iter().map(|&score| units(score)).sum();
    let (minimum, maximum) = scores.iter().fold((first, first), |(low, high), &score| {
        (low.min(score), high.max(score))
    });
    state(scores.len() as u64, &units, minimum, maximum)
}

/// Returns a finite double in units of 2^-1074.
fn units(value: f64) -> BigInt {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = (bits >> 52) & 0x7ff;
    let (fraction, shift) = match exponent {
        0 => (fraction, 0),
        _ => (fraction | 1 << 52, exponent - 1),
    };
    let sign = if value.is_sign_negative() {
        Sign::Minus
    } else {
        Sign::Plus
    };
    BigInt::from_biguint(sign, fraction.into()) << shift
}

/// Returns totals whose sum is a fraction in lowest terms.
fn state(count: u64, units: &BigInt, minimum: f64, maximum: f64) -> ScoreTotals {
    let zeros = units.trailing_zeros().unwrap_or(u64::MAX);
    let scale = u64::from(MIN_EXPONENT).saturating_sub(zeros);
    let numerator = units >> (u64::from(MIN_EXPONENT) - scale);
    ScoreTotals {
        count,
        numerator: exact::bytes(&numerator),
        scale: u32::try_from(scale).expect("is at most 1074"),
        minimum,
        maximum,
    }
}

/// The result of `work-items`: one line an item, then one of the totals.
#[derive(Default)]
pub struct ItemScores {
    totals: ScoreTotals,
}

impl Accumulator for ItemScores {
    type Payload = Scores;

    fn add(&mut self, payload: Scores) -> Result<Vec<u8>, String> {
        let totals = payload.totals.unwrap_or_default();
        let count = usize::try_from(totals.count).map_err(|error| error.to_string())?;
        check_column("Scores.record", payload.record.len(), count)?;
        check_column("Scores.id", payload.id.len(), count)?;
        check_column("Scores.final_score", payload.final_score.len(), count)?;
        if totals.scale > MIN_EXPONENT {
            return Err(format!(
                "ScoreTotals.scale is {}, over {MIN_EXPONENT}",
                totals.scale
            ));
        }
        let extremes = [totals.minimum, totals.maximum];
        if !payload
            .final_score
            .iter()
            .chain(&extremes)
            .all(|value| value.is_finite())
        {
            return Err("Scores has a value that is not finite".into());
        }
        self.totals = merge(&self.totals, totals)?;
        let mut lines = String::new();
        for (id, &score) in payload.id.iter().zip(&payload.final_score) {
            let score = exact::text(score);
            lines += &format!("{{\"id\":{id},\"score\":{score}}}\n");
        }
        Ok(lines.into_bytes())
    }

    fn records(&self) -> u64 {
        self.totals.count
    }

    fn finish(&mut self) -> Result<Vec<u8>, String> {
        let totals = &self.totals;
        if totals.count == 0 {
            return Ok(Vec::new());
        }
        let unit = BigInt::one() << MIN_EXPONENT;
        let total = exact::quotient(&units_of(totals), &unit)
            .ok_or("the total of the final scores is no double")?;
        let line = format!(
            "{{\"count\":{},\"total\":{},\"min\":{},\"max\":{}}}\n",
            totals.count,
            exact::text(total),
            exact::text(totals.minimum),
            exact::text(totals.maximum),
        );
        Ok(line.into_bytes())
    }
}

fn merge(one: &ScoreTotals, other: ScoreTotals) -> Result<ScoreTotals, String> {
    if one.count == 0 {
        return Ok(other);
    }
    if other.count == 0 {
        return Ok(one.clone());
    }
    let count = one.count.checked_add(other.count);
    Ok(state(
        count.ok_or("the counts of the totals exceed 64 bits")?,
        &(units_of(one) + units_of(&other)),
        one.minimum.min(other.minimum),
        one.maximum.max(other.maximum),
    ))
}

/// Returns the exact sum in units of 2^-1074.
fn units_of(totals: &ScoreTotals) -> BigInt {
    exact::integer(&totals.numerator) << (MIN_EXPONENT - totals.scale)
}
