//! From a query's text to an expression whose names and types are right.
//!
//! The crate `promql-parser` reads the text. Everything it hands over is checked again
//! here: it lets some types through that Prometheus refuses, and knows functions that are
//! experimental there, or not of PromQL at all.

use std::time::{Duration, SystemTime};

use promql_parser::label::{MatchOp, Matcher, Matchers};
use promql_parser::parser::{
    self, AggregateExpr, AtModifier, BinModifier, BinaryExpr, Expr, LabelModifier, Offset,
    SubqueryExpr, VectorMatchCardinality, VectorSelector,
};

use super::calls;
use super::error::wrong;
use super::expression::{
    Aggregation, Aggregator, Binary, BinaryOperator, Expression, ExpressionKind, FixedTime,
    Grouping, ManySide, Matching, Selector, Shift, Subquery, expect,
};
use super::guard::{self, Guarded};
use super::labels::{LabelNames, NAME};
use super::regexes::RegexRoom;
use super::{LabelMatcher, MatchKind, QueryError, QueryLimits};

/// Reads a query. Beside it stands how many bytes its regular expressions take.
pub(super) fn parse(text: &str, limits: &QueryLimits) -> Result<(Expression, usize), QueryError> {
    let mut regexes = RegexRoom::default();
    let expression = parse_within(text, limits, &mut regexes)?;
    Ok((expression, regexes.bytes()))
}

/// Reads what series have to be: selectors without a range and without times.
pub(super) fn selectors<'t>(
    texts: impl IntoIterator<Item = &'t str>,
    limits: &QueryLimits,
) -> Result<Vec<Vec<LabelMatcher>>, QueryError> {
    let mut regexes = RegexRoom::default();
    let texts = texts.into_iter();
    let sets = texts.map(|text| match parse_within(text, limits, &mut regexes)? {
        Expression::Selector(selector) if selector.shift == Shift::default() => {
            Ok(selector.matchers)
        }
        _ => Err(wrong("expected a series selector")),
    });
    sets.collect()
}

fn parse_within(
    text: &str,
    limits: &QueryLimits,
    regexes: &mut RegexRoom,
) -> Result<Expression, QueryError> {
    let guarded = guard::check(text, limits)?;
    let parsed = parser::parse(&guarded.text).map_err(|error| wrong(&error))?;
    let mut reader = Reader {
        guarded: &guarded,
        regexes,
        limits,
    };
    reader.expression(&parsed, 0)
}

pub(super) struct Reader<'g> {
    guarded: &'g Guarded,
    regexes: &'g mut RegexRoom,
    limits: &'g QueryLimits,
}

impl Reader<'_> {
    pub(super) fn expression(
        &mut self,
        parsed: &Expr,
        depth: usize,
    ) -> Result<Expression, QueryError> {
        if depth >= self.limits.max_depth {
            return Err(guard::too_deep(self.limits.max_depth));
        }
        match parsed {
            Expr::NumberLiteral(number) => Ok(Expression::Number(number.val)),
            Expr::StringLiteral(text) => Ok(Expression::Text(text.val.clone())),
            Expr::Paren(inner) => self.expression(&inner.expr, depth + 1),
            Expr::VectorSelector(selector) => Ok(Expression::Selector(self.selector(selector)?)),
            Expr::MatrixSelector(range) => {
                let length = positive(range.range)?;
                Ok(Expression::Range(self.selector(&range.vs)?, length))
            }
            Expr::Subquery(subquery) => self.subquery(subquery, depth),
            Expr::Unary(unary) => self.negation(&unary.expr, depth),
            Expr::Binary(binary) => self.binary(binary, depth),
            Expr::Aggregate(aggregate) => self.aggregation(aggregate, depth),
            Expr::Call(call) => {
                let arguments = call.args.args.iter();
                let arguments: Result<Vec<_>, _> = arguments
                    .map(|argument| self.expression(argument, depth + 1))
                    .collect();
                let arguments = arguments?;
                let mut compile = |regex: &str| self.regexes.replacing(regex, self.limits);
                calls::resolve(&call.func, arguments, &mut compile)
            }
            Expr::Extension(_) => Err(wrong("an extension of the language is not supported")),
        }
    }

    fn negation(&mut self, inner: &Expr, depth: usize) -> Result<Expression, QueryError> {
        let inner = self.expression(inner, depth + 1)?;
        match inner.kind() {
            ExpressionKind::Scalar | ExpressionKind::InstantVector => {
                Ok(Expression::Negation(Box::new(inner)))
            }
            other => Err(wrong(&format!(
                "unary expression only allowed on expressions of type scalar or instant \
                 vector, got {:?}",
                other.as_str()
            ))),
        }
    }

    fn subquery(&mut self, parsed: &SubqueryExpr, depth: usize) -> Result<Expression, QueryError> {
        let inner = self.expression(&parsed.expr, depth + 1)?;
        if inner.kind() != ExpressionKind::InstantVector {
            return Err(wrong(&format!(
                "subquery is only allowed on instant vector, got {} instead",
                inner.kind().as_str()
            )));
        }
        let step = parsed.step.map(positive).transpose()?;
        Ok(Expression::Subquery(Box::new(Subquery {
            inner,
            range: positive(parsed.range)?,
            step,
            shift: shift(parsed.offset.as_ref(), parsed.at.as_ref())?,
        })))
    }

    fn aggregation(
        &mut self,
        parsed: &AggregateExpr,
        depth: usize,
    ) -> Result<Expression, QueryError> {
        let name = parsed.op.to_string();
        let by = Aggregator::from_name(&name)
            .ok_or_else(|| wrong(&format!("aggregation {name} is not supported")))?;
        let of = self.expression(&parsed.expr, depth + 1)?;
        expect(&of, ExpressionKind::InstantVector, "aggregation expression")?;
        let parameter = parsed.param.as_ref();
        let parameter = parameter
            .map(|parameter| self.expression(parameter, depth + 1))
            .transpose()?;
        if let Some(parameter) = &parameter {
            let kind = match by {
                Aggregator::CountValues => ExpressionKind::Text,
                _ => ExpressionKind::Scalar,
            };
            expect(parameter, kind, "aggregation parameter")?;
        }
        let (labels, without) = match &parsed.modifier {
            None => (LabelNames::default(), false),
            Some(LabelModifier::Include(labels)) => (LabelNames::new(labels.labels.clone()), false),
            Some(LabelModifier::Exclude(labels)) => (LabelNames::new(labels.labels.clone()), true),
        };
        Ok(Expression::Aggregation(Box::new(Aggregation {
            by,
            of,
            parameter,
            grouping: Grouping { labels, without },
        })))
    }

    fn binary(&mut self, parsed: &BinaryExpr, depth: usize) -> Result<Expression, QueryError> {
        let name = parsed.op.to_string();
        let operator = BinaryOperator::from_name(&name)
            .ok_or_else(|| wrong(&format!("operator {name:?} is not supported")))?;
        let left = self.expression(&parsed.lhs, depth + 1)?;
        let right = self.expression(&parsed.rhs, depth + 1)?;
        let kind = binary_kind(left.kind(), right.kind())?;
        let modifier = parsed.modifier.as_ref();
        let to_bool = modifier.is_some_and(|modifier| modifier.return_bool);
        let matching = matching(modifier)?;
        let binary = Binary {
            operator,
            left,
            right,
            to_bool,
            matching,
            kind,
        };
        check_binary(&binary)?;
        Ok(Expression::Binary(Box::new(binary)))
    }

    fn selector(&mut self, parsed: &VectorSelector) -> Result<Selector, QueryError> {
        let mut matchers = self.matchers(&parsed.matchers)?;
        if let Some(name) = &parsed.name {
            if let Some(twice) = matchers.iter().find(|matcher| matcher.name == NAME) {
                return Err(wrong(&format!(
                    "metric name must not be set twice: {name:?} or {:?}",
                    twice.value
                )));
            }
            matchers.push(LabelMatcher {
                name: NAME.to_owned(),
                kind: MatchKind::Equal,
                value: name.clone(),
            });
        } else if matchers.iter().all(|matcher| matcher.matches("")) {
            return Err(wrong(
                "vector selector must contain at least one non-empty matcher",
            ));
        }
        Ok(Selector {
            matchers,
            shift: shift(parsed.offset.as_ref(), parsed.at.as_ref())?,
        })
    }

    fn matchers(&mut self, parsed: &Matchers) -> Result<Vec<LabelMatcher>, QueryError> {
        if !parsed.or_matchers.is_empty() {
            return Err(wrong("\"or\" between label matchers is not supported"));
        }
        let matchers = parsed.matchers.iter();
        matchers.map(|matcher| self.matcher(matcher)).collect()
    }

    fn matcher(&mut self, parsed: &Matcher) -> Result<LabelMatcher, QueryError> {
        let name = parsed.name.clone();
        let (kind, value): (fn(regex::Regex) -> MatchKind, String) = match &parsed.op {
            MatchOp::Equal => {
                let value = parsed.value.clone();
                let kind = MatchKind::Equal;
                return Ok(LabelMatcher { name, kind, value });
            }
            MatchOp::NotEqual => {
                let value = parsed.value.clone();
                let kind = MatchKind::NotEqual;
                return Ok(LabelMatcher { name, kind, value });
            }
            MatchOp::Re(_) => (MatchKind::Regex, self.regex_text(&parsed.value)?),
            MatchOp::NotRe(_) => (MatchKind::NotRegex, self.regex_text(&parsed.value)?),
        };
        let kind = kind(self.regexes.anchored(&value, self.limits)?);
        Ok(LabelMatcher { name, kind, value })
    }

    /// What a regular expression's number in the text stands for.
    fn regex_text(&self, number: &str) -> Result<String, QueryError> {
        let quoted = number.parse().ok();
        let quoted = quoted.and_then(|number: usize| self.guarded.regexes.get(number));
        let quoted = quoted.ok_or_else(|| wrong("unexpected regular expression"))?;
        match parser::parse(quoted) {
            Ok(Expr::StringLiteral(text)) => Ok(text.val),
            Ok(_) => Err(wrong("unexpected regular expression")),
            Err(error) => Err(wrong(&error)),
        }
    }
}

fn binary_kind(left: ExpressionKind, right: ExpressionKind) -> Result<ExpressionKind, QueryError> {
    match (left, right) {
        (ExpressionKind::Scalar, ExpressionKind::Scalar) => Ok(ExpressionKind::Scalar),
        (
            ExpressionKind::Scalar | ExpressionKind::InstantVector,
            ExpressionKind::Scalar | ExpressionKind::InstantVector,
        ) => Ok(ExpressionKind::InstantVector),
        _ => Err(wrong(
            "binary expression must contain only scalar and instant vector types",
        )),
    }
}

fn check_binary(binary: &Binary) -> Result<(), QueryError> {
    let Binary {
        operator, matching, ..
    } = binary;
    let of_vectors = [&binary.left, &binary.right]
        .into_iter()
        .all(|side| side.kind() == ExpressionKind::InstantVector);
    if binary.to_bool && !operator.compares() {
        return Err(wrong(
            "bool modifier can only be used on comparison operators",
        ));
    }
    if operator.compares() && !binary.to_bool && binary.kind == ExpressionKind::Scalar {
        return Err(wrong("comparisons between scalars must use BOOL modifier"));
    }
    let mut both = matching.labels.iter().filter(|_| matching.on);
    if let Some(label) = both.find(|label| matching.include.contains(label)) {
        return Err(wrong(&format!(
            "label {label:?} must not occur in ON and GROUP clause at once"
        )));
    }
    if !of_vectors && !matching.labels.is_empty() {
        return Err(wrong(
            "vector matching only allowed between instant vectors",
        ));
    }
    if operator.is_of_sets() && !of_vectors {
        return Err(wrong(&format!(
            "set operator {:?} not allowed in binary scalar expression",
            operator.as_str()
        )));
    }
    if operator.is_of_sets() && matching.many != ManySide::Neither {
        return Err(wrong(&format!(
            "no grouping allowed for {:?} operation",
            operator.as_str()
        )));
    }
    Ok(())
}

fn matching(modifier: Option<&BinModifier>) -> Result<Matching, QueryError> {
    let mut matching = Matching {
        labels: LabelNames::default(),
        on: false,
        many: ManySide::Neither,
        include: LabelNames::default(),
    };
    let Some(modifier) = modifier else {
        return Ok(matching);
    };
    let fill = &modifier.fill_values;
    if fill.lhs.is_some() || fill.rhs.is_some() {
        return Err(wrong(
            "the fill modifiers are experimental and not supported",
        ));
    }
    if let Some(labels) = &modifier.matching {
        matching.on = labels.is_include();
        matching.labels = LabelNames::new(labels.labels().labels.clone());
    }
    let (many, include) = match &modifier.card {
        VectorMatchCardinality::ManyToOne(labels) => (ManySide::Left, Some(labels)),
        VectorMatchCardinality::OneToMany(labels) => (ManySide::Right, Some(labels)),
        _ => (ManySide::Neither, None),
    };
    matching.many = many;
    matching.include = include
        .map(|labels| LabelNames::new(labels.labels.clone()))
        .unwrap_or_default();
    Ok(matching)
}

fn shift(offset: Option<&Offset>, at: Option<&AtModifier>) -> Result<Shift, QueryError> {
    let offset = match offset {
        None => 0,
        Some(Offset::Pos(by)) => milliseconds(*by)?,
        Some(Offset::Neg(by)) => -milliseconds(*by)?,
    };
    let fixed = match at {
        None => None,
        Some(AtModifier::Start) => Some(FixedTime::Start),
        Some(AtModifier::End) => Some(FixedTime::End),
        Some(AtModifier::At(time)) => Some(FixedTime::At(since_epoch(*time)?)),
    };
    Ok(Shift { offset, fixed })
}

fn since_epoch(time: SystemTime) -> Result<i64, QueryError> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => milliseconds(after),
        Err(before) => Ok(-milliseconds(before.duration())?),
    }
}

/// Far more than any query asks for, and far enough from the ends of the numbers that sums
/// of a few don't reach them.
const MOST_MILLISECONDS: i64 = i64::MAX / 1_024;

fn milliseconds(duration: Duration) -> Result<i64, QueryError> {
    let milliseconds = i64::try_from(duration.as_millis()).ok();
    milliseconds
        .filter(|milliseconds| *milliseconds <= MOST_MILLISECONDS)
        .ok_or_else(|| wrong("timestamp or duration out of bounds"))
}

fn positive(duration: Duration) -> Result<i64, QueryError> {
    match milliseconds(duration)? {
        0 => Err(wrong("duration must be greater than 0")),
        milliseconds => Ok(milliseconds),
    }
}
