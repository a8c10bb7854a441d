//! Regular expressions of a query: anchored at both ends, and bounded all together in what
//! they take and in what matching with them costs.

use regex::{Captures, Regex, RegexBuilder};
use regex_automata::nfa::thompson::{Compiler, Config, NFA};

use super::meter::Meter;
use super::{QueryError, QueryErrorKind, QueryLimits};
use crate::regexp;

/// What one compiled expression may take by its states alone.
const MOST_BYTES: usize = 1 << 20;
/// What all of a query may take, with what they match by: half of the usual room of a query.
const MOST_BYTES_OF_ALL: usize = 32 << 20;
/// How many may be in one query. Each is compiled, however small it is.
const MOST_EXPRESSIONS: usize = 256;
/// What the texts may come to: compiling is the work of reading them, and a named class of
/// characters is read as the hundreds of ranges that it has.
const MOST_WORK: usize = 16 << 20;
/// How many times a state may look at a character in one match, which nothing interrupts:
/// about a second.
const MOST_VISITS: usize = 1 << 26;

/// What a query's regular expressions have used of what they may.
#[derive(Default)]
pub(super) struct RegexRoom {
    expressions: usize,
    work: usize,
    bytes: usize,
}

/// A compiled expression, and what it weighs.
#[derive(Clone, Debug)]
pub(super) struct TextPattern {
    regex: Regex,
    /// Visits of states for each character, the copying of groups among them.
    visits: usize,
}

impl RegexRoom {
    /// Compiles an expression that has to match a whole text. A dot matches newlines, too.
    pub(super) fn anchored(
        &mut self,
        text: &str,
        limits: &QueryLimits,
    ) -> Result<Regex, QueryError> {
        match self.pattern(text, limits)? {
            Ok(pattern) => Ok(pattern.regex),
            Err(reason) => Err(QueryError::bad_data(format!("parse error: {reason}"))),
        }
    }

    /// Compiles such an expression for `label_replace`. Of a wrong one the error is told by
    /// the evaluation, as Prometheus has it.
    pub(super) fn replacing(
        &mut self,
        text: &str,
        limits: &QueryLimits,
    ) -> Result<Result<TextPattern, QueryError>, QueryError> {
        let pattern = self.pattern(text, limits)?;
        Ok(pattern.map_err(|_| {
            let place = "invalid regular expression in label_replace()";
            QueryError::execution(format!("{place}: {text}"))
        }))
    }

    /// An expression, or what is wrong with it; an error where all together are too much.
    fn pattern(
        &mut self,
        text: &str,
        limits: &QueryLimits,
    ) -> Result<Result<TextPattern, String>, QueryError> {
        self.expressions += 1;
        let classes = text.matches("\\p").count() + text.matches("\\P").count();
        self.work += text.len() * 64 + classes * MOST_BYTES / 16;
        if self.expressions > MOST_EXPRESSIONS || self.work > MOST_WORK {
            return Err(too_many());
        }
        let most = MOST_BYTES_OF_ALL.min(limits.max_memory);
        let left = most.saturating_sub(self.bytes);
        match compile(text, left) {
            Ok((pattern, bytes)) => {
                self.bytes += bytes;
                Ok(Ok(pattern))
            }
            Err(CompileError::Wrong(reason)) => Ok(Err(reason)),
            Err(CompileError::NoRoom) => Err(too_many()),
        }
    }

    /// What all of them take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl TextPattern {
    /// What a text matches, counted as work before it is looked for.
    pub(super) fn captures<'t>(
        &self,
        text: &'t str,
        meter: &Meter<'_>,
    ) -> Result<Option<Captures<'t>>, QueryError> {
        let visits = self.visits.saturating_mul(text.len() + 1);
        if visits > MOST_VISITS {
            return Err(QueryError::new(
                QueryErrorKind::Limit,
                format!(
                    "a regular expression of this size can't be matched with a text of {} bytes",
                    text.len()
                ),
            ));
        }
        meter.work(visits)?;
        Ok(self.regex.captures(text))
    }
}

fn too_many() -> QueryError {
    QueryError::bad_data("the query has too many or too large regular expressions")
}

enum CompileError {
    /// All of the query's together take too much.
    NoRoom,
    /// What is wrong with the text.
    Wrong(String),
}

/// Compiles an expression that has to match a whole text, if it takes no more than `left`
/// bytes. Beside it stands how many it takes.
fn compile(text: &str, left: usize) -> Result<(TextPattern, usize), CompileError> {
    let anchored =
        regexp::anchored(text).map_err(|error| CompileError::Wrong(error.to_string()))?;
    let too_large = || CompileError::Wrong("the regular expression is too large".to_owned());
    // What the expression will take is known by its states, which are made alone first.
    let states = Compiler::new()
        .configure(Config::new().nfa_size_limit(Some(MOST_BYTES)))
        .build(&anchored)
        .map_err(|error| match error.size_limit() {
            Some(_) => too_large(),
            None => CompileError::Wrong("the regular expression isn't supported".to_owned()),
        })?;
    let cache = cache_bytes(&states);
    let bytes = bytes(&states, cache);
    if bytes > left {
        return Err(CompileError::NoRoom);
    }
    let mut builder = RegexBuilder::new(&anchored);
    builder.size_limit(MOST_BYTES).dfa_size_limit(cache);
    let regex = builder.build().map_err(|_| too_large())?;
    let slots = states.group_info().explicit_slot_len();
    let visits = states.states().len().saturating_mul(1 + slots);
    Ok((TextPattern { regex, visits }, bytes))
}

/// What the automaton that is built while matching may take, in each direction: room for
/// some of the sets of states.
fn cache_bytes(states: &NFA) -> usize {
    (states.memory_usage() * 8).clamp(32 << 10, MOST_BYTES)
}

/// What an expression takes once it has matched something: its states in both directions,
/// the automata of both, a table by state and character where one state at a time suffices,
/// and twice the ends of every group for every state.
fn bytes(states: &NFA, cache: usize) -> usize {
    let count = states.states().len();
    let groups = states.group_info().slot_len();
    let ends = count.saturating_mul(16 * (groups + 2));
    let table = (count * 512).min(MOST_BYTES);
    ends.saturating_add(2 * states.memory_usage() + 2 * cache + table)
}
