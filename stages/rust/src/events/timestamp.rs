//! The profile of RFC 3339 that events use.

/// Returns whether a text is an RFC 3339 date-time. A leap second is valid at 23:59:60 UTC
/// of any day.
pub fn is_timestamp(text: &str) -> bool {
    parse(text.as_bytes()).is_some()
}

fn parse(text: &[u8]) -> Option<()> {
    const DAY: i32 = 24 * 60;
    let (clock, zone) = text.split_at_checked("0000-00-00T00:00:00".len())?;
    let separators = [clock[4], clock[7], clock[10], clock[13], clock[16]];
    if !matches!(separators, [b'-', b'-', b'T' | b't' | b' ', b':', b':']) {
        return None;
    }
    let year = two(clock, 0)? * 100 + two(clock, 2)?;
    let (month, day) = (two(clock, 5)?, two(clock, 8)?);
    let (hour, minute, second) = (two(clock, 11)?, two(clock, 14)?, two(clock, 17)?);
    let offset = offset_minutes(without_fraction(zone)?)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let is_leap_second = second == 60 && (hour * 60 + minute - offset).rem_euclid(DAY) == DAY - 1;
    (hour < 24 && minute < 60 && (second < 60 || is_leap_second)).then_some(())
}

/// Returns what follows the fraction of a second, if there is one.
fn without_fraction(text: &[u8]) -> Option<&[u8]> {
    let Some(fraction) = text.strip_prefix(b".") else {
        return Some(text);
    };
    let digits = fraction
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    (digits > 0).then(|| &fraction[digits..])
}

/// Reads Z, z, or an offset such as +01:00.
fn offset_minutes(text: &[u8]) -> Option<i32> {
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(text, 1)?, two(text, 4)?);
            let offset = hours * 60 + minutes;
            (hours < 24 && minutes < 60).then_some(if sign == b'-' { -offset } else { offset })
        }
        _ => None,
    }
}

fn days_in(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn two(text: &[u8], at: usize) -> Option<i32> {
    let digit = |byte: u8| char::from(byte).to_digit(10);
    i32::try_from(digit(text[at])? * 10 + digit(text[at + 1])?).ok()
}
