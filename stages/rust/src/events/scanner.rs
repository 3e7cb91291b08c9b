//! Reads strict JSON. `serde_json` refuses lone surrogates and counts depth differently, so
//! it can't tell which lines to reject.

/// How deep the JSON of a line may nest, the object of the line included.
const MAX_DEPTH: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    Text,
    Number,
    Literal,
}

/// A value in a line: its kind, and its text as it was written.
#[derive(Clone, Copy)]
pub struct Span<'a> {
    pub kind: Kind,
    pub raw: &'a str,
}

/// Returns the kind of a line, and the values of the wanted keys if it is an object. The
/// last of equal keys counts. Returns `None` if the line is no JSON.
pub fn scan<'a, const N: usize>(
    line: &'a str,
    wanted: [&str; N],
) -> Option<(Kind, [Option<Span<'a>>; N])> {
    let mut found = [None; N];
    let mut scanner = Scanner { line, at: 0 };
    scanner.space();
    let kind = if scanner.next() == Some(b'{') {
        scanner.object(1, &mut |key, value| {
            for (name, place) in wanted.iter().zip(&mut found) {
                if is_text(key, name) {
                    *place = Some(value);
                }
            }
        })?
    } else {
        scanner.value(1)?
    };
    scanner.space();
    (scanner.at == line.len()).then_some((kind, found))
}

struct Scanner<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn next(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.next() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn space(&mut self) {
        while matches!(self.next(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Option<Kind> {
        match self.next()? {
            b'{' => self.object(depth, &mut |_, _| ()),
            b'[' => self
                .list(b']', depth, |scanner| scanner.value(depth + 1).map(|_| ()))
                .map(|()| Kind::Array),
            b'"' => self.text().map(|()| Kind::Text),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize, member: &mut dyn FnMut(&'a str, Span<'a>)) -> Option<Kind> {
        self.list(b'}', depth, |scanner| {
            let from = scanner.at;
            if scanner.next() != Some(b'"') {
                return None;
            }
            scanner.text()?;
            let key = &scanner.line[from..scanner.at];
            scanner.space();
            if !scanner.skip(b':') {
                return None;
            }
            scanner.space();
            let from = scanner.at;
            let kind = scanner.value(depth + 1)?;
            let raw = &scanner.line[from..scanner.at];
            member(key, Span { kind, raw });
            Some(())
        })?;
        Some(Kind::Object)
    }

    /// Reads items, separated by commas, up to the closing bracket.
    fn list(
        &mut self,
        end: u8,
        depth: usize,
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.at += 1;
        self.space();
        if self.skip(end) {
            return Some(());
        }
        loop {
            self.space();
            item(self)?;
            self.space();
            if self.skip(end) {
                return Some(());
            }
            if !self.skip(b',') {
                return None;
            }
        }
    }

    fn text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.next()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                0..b' ' => return None,
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let bytes = self.line.as_bytes();
        match bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                hexadecimal(bytes.get(self.at + 2..self.at + 6)?)?;
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self) -> Option<Kind> {
        self.skip(b'-');
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            if !self.skip(b'-') {
                self.skip(b'+');
            }
            self.digits()?;
        }
        Some(Kind::Number)
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while matches!(self.next(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn literal(&mut self, word: &str) -> Option<Kind> {
        self.line.as_bytes()[self.at..]
            .starts_with(word.as_bytes())
            .then(|| {
                self.at += word.len();
                Kind::Literal
            })
    }
}

/// Returns whether a JSON string, with its quotes, stands for the wanted text.
fn is_text(raw: &str, wanted: &str) -> bool {
    let inner = &raw[1..raw.len() - 1];
    if inner.contains('\\') {
        return unquoted(raw).is_some_and(|text| text == wanted);
    }
    inner == wanted
}

/// Returns the text of a valid JSON string; `None` if it has a lone surrogate.
pub fn unquoted(raw: &str) -> Option<String> {
    let mut rest = &raw[1..raw.len() - 1];
    let mut text = String::with_capacity(rest.len());
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let escaped = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        if escaped != b'u' {
            text.push(match escaped {
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                other => char::from(other),
            });
            continue;
        }
        let first = hexadecimal(&rest.as_bytes()[..4])?;
        rest = &rest[4..];
        let Some(char) = char::from_u32(u32::from(first)) else {
            let low = hexadecimal(rest.strip_prefix("\\u")?.as_bytes().get(..4)?)?;
            text.push(char::decode_utf16([first, low]).next()?.ok()?);
            rest = &rest[6..];
            continue;
        };
        text.push(char);
    }
    text.push_str(rest);
    Some(text)
}

fn hexadecimal(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |value: u16, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some(value << 4 | u16::try_from(digit).ok()?)
    })
}
