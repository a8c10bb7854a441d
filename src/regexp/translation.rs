//! Groups, repetitions and flags: what holds the characters of an expression together.

use std::collections::HashSet;

use super::RegexpError;
use super::escapes::{bare_class, before, bracketed_class, escaped, write_literal, wrong};

/// How often anything may repeat at the most, with what repeats around it.
const MOST_REPEATED: u32 = 1_000;

/// An expression of Go as the crate reads it, where dots match newlines unless the expression
/// itself says otherwise.
pub(super) fn translated(go: &str) -> Result<String, RegexpError> {
    let mut translation = RegexpTranslation {
        whole: go,
        rest: go,
        out: String::with_capacity(go.len() + 16),
        flags: Flags::default(),
        atom: None,
        repeated: 1,
        groups: Vec::new(),
        names: HashSet::new(),
    };
    let mut last = None;
    while let Some(c) = translation.rest.chars().next() {
        last = translation.item(c, last)?;
    }
    if translation.groups.is_empty() {
        Ok(translation.out)
    } else {
        Err(wrong("missing closing )", go))
    }
}

struct RegexpTranslation<'g> {
    whole: &'g str,
    /// What hasn't been read.
    rest: &'g str,
    out: String,
    flags: Flags,
    /// What a repetition would repeat.
    atom: Option<Atom>,
    /// How often anything of the innermost group repeats, without its last atom.
    repeated: u32,
    /// The groups that are open, the innermost last.
    groups: Vec<Group>,
    /// The names that groups have.
    names: HashSet<&'g str>,
}

/// Something that can be repeated, and where it has been written.
#[derive(Clone, Copy)]
struct Atom {
    start: usize,
    end: usize,
    /// How often anything in it repeats, at the most.
    repeated: u32,
    is_repetition: bool,
}

struct Group {
    start: usize,
    /// What counted before it, and does again behind it.
    flags: Flags,
    repeated: u32,
}

/// Those that an expression can set.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Flags {
    fold_case: bool,
    lines: bool,
    dot_is_any: bool,
    lazy: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            fold_case: false,
            lines: false,
            dot_is_any: true,
            lazy: false,
        }
    }
}

impl Flags {
    /// Sets one by its letter, if it is one.
    fn set(&mut self, letter: char, on: bool) -> bool {
        let flag = match letter {
            'i' => &mut self.fold_case,
            'm' => &mut self.lines,
            's' => &mut self.dot_is_any,
            'U' => &mut self.lazy,
            _ => return false,
        };
        *flag = on;
        true
    }

    fn letters(self) -> [(char, bool); 4] {
        [
            ('i', self.fold_case),
            ('m', self.lines),
            ('s', self.dot_is_any),
            ('U', self.lazy),
        ]
    }

    /// What makes others of these, such as `i-s`.
    fn changes(self, to: Self) -> String {
        let pairs = self.letters().into_iter().zip(to.letters());
        let changed: Vec<(char, bool)> = pairs
            .filter(|(from, to)| from != to)
            .map(|(_, to)| to)
            .collect();
        let mut text: String = changed.iter().filter(|c| c.1).map(|c| c.0).collect();
        if changed.iter().any(|c| !c.1) {
            text.push('-');
        }
        text.extend(changed.iter().filter(|c| !c.1).map(|c| c.0));
        text
    }
}

impl<'g> RegexpTranslation<'g> {
    /// Reads what begins with `c`. If that is a repetition its text is returned from its start
    /// on; `last` is what the item before has returned.
    fn item(&mut self, c: char, last: Option<&'g str>) -> Result<Option<&'g str>, RegexpError> {
        let text = self.rest;
        match c {
            '(' if text.starts_with("(?") => self.group_with_question_mark()?,
            '(' => {
                self.open("(", self.flags);
                self.skip(1);
            }
            ')' => {
                self.close()?;
                self.skip(1);
            }
            '|' => {
                self.finish_atom();
                self.out.push('|');
                self.skip(1);
            }
            '^' | '$' | '.' => {
                self.atom(|out| out.push(c));
                self.skip(1);
            }
            '[' => {
                let mut class = String::new();
                self.rest = bracketed_class(text, &mut class)?;
                self.atom(|out| out.push_str(&class));
            }
            '*' | '+' | '?' => {
                self.skip(1);
                self.repeat(text, None, last)?;
                return Ok(Some(text));
            }
            '{' => {
                if let Some((counts, rest)) = counts(text) {
                    let written = before(text, rest);
                    if counts.are_too_many() {
                        return Err(wrong(INVALID_COUNT, written));
                    }
                    self.rest = rest;
                    self.repeat(text, Some(counts), last)?;
                    return Ok(Some(text));
                }
                self.literal(u32::from(c));
                self.skip(1);
            }
            '\\' => self.backslash()?,
            _ => {
                self.literal(u32::from(c));
                self.skip(c.len_utf8());
            }
        }
        Ok(None)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn literal(&mut self, code: u32) {
        self.atom(|out| write_literal(code, out));
    }

    fn atom(&mut self, write: impl FnOnce(&mut String)) {
        self.finish_atom();
        let start = self.out.len();
        write(&mut self.out);
        self.atom = Some(Atom {
            start,
            end: self.out.len(),
            repeated: 1,
            is_repetition: false,
        });
    }

    fn finish_atom(&mut self) {
        if let Some(atom) = self.atom.take() {
            self.repeated = self.repeated.max(atom.repeated);
        }
    }

    fn open(&mut self, written: &str, flags: Flags) {
        self.finish_atom();
        self.groups.push(Group {
            start: self.out.len(),
            flags: std::mem::replace(&mut self.flags, flags),
            repeated: std::mem::replace(&mut self.repeated, 1),
        });
        self.out.push_str(written);
    }

    fn close(&mut self) -> Result<(), RegexpError> {
        self.finish_atom();
        let Some(group) = self.groups.pop() else {
            return Err(wrong("unexpected )", self.whole));
        };
        self.out.push(')');
        self.flags = group.flags;
        self.atom = Some(Atom {
            start: group.start,
            end: self.out.len(),
            repeated: std::mem::replace(&mut self.repeated, group.repeated),
            is_repetition: false,
        });
        Ok(())
    }

    /// A group with a name, a group that isn't kept, or flags.
    fn group_with_question_mark(&mut self) -> Result<(), RegexpError> {
        let text = self.rest;
        let name = text
            .strip_prefix("(?P<")
            .or_else(|| text.strip_prefix("(?<"));
        // Less is no beginning of a name.
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            const INVALID_NAME: &str = "invalid named capture";
            let (name, rest) = name
                .split_once('>')
                .ok_or_else(|| wrong(INVALID_NAME, text))?;
            let part = before(text, rest);
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err(wrong(INVALID_NAME, part));
            }
            // The crate knows no names that begin with a digit or come twice. Of such a group
            // the name is lost, and what it matches is not.
            if name.starts_with(|c: char| c.is_ascii_digit()) || !self.names.insert(name) {
                self.open("(", self.flags);
            } else {
                self.open(&format!("(?P<{name}>"), self.flags);
            }
            self.rest = rest;
            return Ok(());
        }
        let mut flags = self.flags;
        let (mut on, mut any) = (true, false);
        let mut chars = text.get(2..).unwrap_or_default().chars();
        while let Some(c) = chars.next() {
            match c {
                '-' if on => (on, any) = (false, false),
                ':' | ')' if on || any => {
                    let changes = self.flags.changes(flags);
                    self.rest = chars.as_str();
                    if c == ':' {
                        self.open(&format!("(?{changes}:"), flags);
                    } else if flags != self.flags {
                        self.out.push_str(&format!("(?{changes})"));
                        self.flags = flags;
                    }
                    return Ok(());
                }
                c if flags.set(c, on) => any = true,
                _ => break,
            }
        }
        let part = before(text, chars.as_str());
        Err(wrong("invalid or unsupported Perl syntax", part))
    }

    /// Repeats the last atom. `text` begins with the repetition, which has been read up to a
    /// question mark that may follow.
    fn repeat(
        &mut self,
        text: &'g str,
        counts: Option<RepeatCounts>,
        last: Option<&str>,
    ) -> Result<(), RegexpError> {
        if self.rest.starts_with('?') {
            self.skip(1);
        }
        if let Some(last) = last {
            let part = before(last, self.rest);
            return Err(wrong("invalid nested repetition operator", part));
        }
        let written = before(text, self.rest);
        let Some(mut atom) = self.atom else {
            return Err(wrong("missing argument to repetition operator", written));
        };
        if let Some(counts) = counts {
            atom.repeated = match counts.most() {
                0 => 1,
                most => most * atom.repeated,
            };
            if counts.are_several() && atom.repeated > MOST_REPEATED {
                return Err(wrong(INVALID_COUNT, written));
            }
        }
        // Flags or nothing at all between two repetitions make them two.
        if atom.is_repetition {
            self.out.insert(atom.end, ')');
            self.out.insert_str(atom.start, "(?:");
            atom.end += "(?:)".len();
        }
        self.out.insert_str(atom.end, written);
        atom.end += written.len();
        atom.is_repetition = true;
        self.atom = Some(atom);
        Ok(())
    }

    fn backslash(&mut self) -> Result<(), RegexpError> {
        let text = self.rest;
        let border = match text.get(..2) {
            Some(r"\A") => r"\A",
            Some(r"\z") => r"\z",
            Some(r"\b") => r"(?-u:\b)",
            Some(r"\B") => r"(?-u:\B)",
            Some(r"\Q") => {
                self.skip(2);
                let (literal, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                for c in literal.chars() {
                    self.literal(u32::from(c));
                }
                self.rest = rest;
                return Ok(());
            }
            _ => {
                let mut class = String::new();
                if let Some(rest) = bare_class(text, &mut class)? {
                    self.atom(|out| out.push_str(&class));
                    self.rest = rest;
                } else {
                    let (code, rest) = escaped(text)?;
                    self.literal(code);
                    self.rest = rest;
                }
                return Ok(());
            }
        };
        self.atom(|out| out.push_str(border));
        self.skip(2);
        Ok(())
    }
}

const INVALID_COUNT: &str = "invalid repeat count";

/// How often something repeats. `None` is without end, and numbers that are too large are
/// the largest.
#[derive(Clone, Copy)]
struct RepeatCounts {
    least: u32,
    most: Option<u32>,
}

impl RepeatCounts {
    fn are_too_many(self) -> bool {
        let most = self.most.unwrap_or(self.least);
        self.least > MOST_REPEATED || most > MOST_REPEATED || self.least > most
    }

    /// What counts against [`MOST_REPEATED`]; 0 for what is never there.
    fn most(self) -> u32 {
        self.most.unwrap_or(self.least.max(1))
    }

    fn are_several(self) -> bool {
        self.least >= 2 || self.most.is_some_and(|most| most >= 2)
    }
}

/// The numbers of a repetition such as `{2,3}`, with which `text` begins, and what follows
/// it. A brace that begins none stands for itself.
fn counts(text: &str) -> Option<(RepeatCounts, &str)> {
    let (least, rest) = number(text.strip_prefix('{')?)?;
    let (most, rest) = match rest.strip_prefix(',') {
        None => (Some(least), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (most, rest) = number(rest)?;
            (Some(most), rest)
        }
    };
    Some((RepeatCounts { least, most }, rest.strip_prefix('}')?))
}

/// A number without zeros in front.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}
