//! Which function a name stands for, and whether its arguments are right.

use promql_parser::parser::Function;
use promql_parser::parser::value::ValueType;

use super::QueryError;
use super::error::wrong;
use super::expression::{Expression, ExpressionKind, ScalarCall, VectorCall, expect};
use super::functions::{DatePart, Elementwise, HistogramFunction, RangeFunction};
use super::regexes::TextPattern;

/// Compiles the expression of a `label_replace`, or says what is wrong with it.
type RegexCompiler<'c> =
    &'c mut dyn FnMut(&str) -> Result<Result<TextPattern, QueryError>, QueryError>;

/// The call of a function with its arguments.
pub(super) fn resolve(
    function: &Function,
    arguments: Vec<Expression>,
    compile: RegexCompiler<'_>,
) -> Result<Expression, QueryError> {
    let name = function.name;
    if function.experimental {
        return Err(wrong(&format!(
            "function {name:?} is experimental and not supported"
        )));
    }
    for (at, argument) in arguments.iter().enumerate() {
        let last = function.arg_types.len().saturating_sub(1);
        let Some(expected) = function.arg_types.get(at.min(last)) else {
            continue;
        };
        let place = format!("call to function {name:?}");
        expect(argument, kind_of(*expected), &place)?;
    }
    let mut arguments = Arguments {
        name,
        rest: arguments.into_iter(),
        compile,
    };
    if let Some(call) = scalar_call(name, &mut arguments)? {
        return Ok(Expression::Scalar(Box::new(call)));
    }
    let call = vector_call(name, &mut arguments)?;
    let call = call.ok_or_else(|| wrong(&format!("function {name:?} is not supported")))?;
    Ok(Expression::Vector(Box::new(call)))
}

fn kind_of(value: ValueType) -> ExpressionKind {
    match value {
        ValueType::Vector => ExpressionKind::InstantVector,
        ValueType::Scalar => ExpressionKind::Scalar,
        ValueType::Matrix => ExpressionKind::RangeVector,
        ValueType::String => ExpressionKind::Text,
    }
}

struct Arguments<'c> {
    name: &'static str,
    rest: std::vec::IntoIter<Expression>,
    compile: RegexCompiler<'c>,
}

impl Arguments<'_> {
    fn next(&mut self) -> Result<Expression, QueryError> {
        let next = self.rest.next();
        next.ok_or_else(|| wrong(&format!("too few arguments in call to {:?}", self.name)))
    }

    fn text(&mut self) -> Result<String, QueryError> {
        match self.next()? {
            Expression::Text(text) => Ok(text),
            _ => Err(wrong(&format!(
                "expected a string in call to {:?}",
                self.name
            ))),
        }
    }
}

fn scalar_call(name: &str, rest: &mut Arguments<'_>) -> Result<Option<ScalarCall>, QueryError> {
    Ok(Some(match name {
        "time" => ScalarCall::Time,
        "pi" => ScalarCall::Pi,
        "scalar" => ScalarCall::Only(rest.next()?),
        _ => return Ok(None),
    }))
}

fn vector_call(name: &str, rest: &mut Arguments<'_>) -> Result<Option<VectorCall>, QueryError> {
    if let Some(each) = Elementwise::from_name(name) {
        return Ok(Some(VectorCall::Each(each, rest.next()?)));
    }
    if let Some(part) = DatePart::from_name(name) {
        return Ok(Some(VectorCall::Date(part, rest.rest.next())));
    }
    if let Some(function) = HistogramFunction::from_name(name) {
        return Ok(Some(VectorCall::Histogram(function, rest.next()?)));
    }
    if let Some(function) = RangeFunction::from_name(name) {
        return over_range(function, rest).map(Some);
    }
    Ok(Some(match name {
        "vector" => VectorCall::Spread(rest.next()?),
        "clamp" => VectorCall::Clamp {
            of: rest.next()?,
            least: Some(rest.next()?),
            most: Some(rest.next()?),
        },
        "clamp_min" => VectorCall::Clamp {
            of: rest.next()?,
            least: Some(rest.next()?),
            most: None,
        },
        "clamp_max" => VectorCall::Clamp {
            of: rest.next()?,
            least: None,
            most: Some(rest.next()?),
        },
        "round" => {
            let of = rest.next()?;
            let nearest = rest.rest.next().unwrap_or(Expression::Number(1.0));
            VectorCall::Round(of, nearest)
        }
        "timestamp" => VectorCall::Timestamp(rest.next()?),
        "absent" => VectorCall::Absent(rest.next()?),
        "absent_over_time" => VectorCall::AbsentOverTime(rest.next()?),
        "histogram_quantile" => VectorCall::HistogramQuantile(rest.next()?, rest.next()?),
        "histogram_fraction" => {
            VectorCall::HistogramFraction(rest.next()?, rest.next()?, rest.next()?)
        }
        "label_replace" => VectorCall::LabelReplace {
            of: rest.next()?,
            target: rest.text()?,
            replacement: rest.text()?,
            source: rest.text()?,
            regex: {
                let text = rest.text()?;
                (rest.compile)(&text)?
            },
        },
        "label_join" => label_join(rest)?,
        "sort" | "sort_desc" => VectorCall::Sort {
            of: rest.next()?,
            descending: name == "sort_desc",
        },
        _ => return Ok(None),
    }))
}

fn over_range(function: RangeFunction, rest: &mut Arguments<'_>) -> Result<VectorCall, QueryError> {
    let mut range = None;
    let mut scalars = Vec::new();
    for argument in rest.rest.by_ref() {
        match argument.kind() {
            ExpressionKind::RangeVector => range = Some(argument),
            _ => scalars.push(argument),
        }
    }
    let range = range.ok_or_else(|| wrong("expected a range vector"))?;
    Ok(VectorCall::OverRange(function, range, scalars))
}

fn label_join(rest: &mut Arguments<'_>) -> Result<VectorCall, QueryError> {
    let of = rest.next()?;
    let target = rest.text()?;
    let separator = rest.text()?;
    let mut sources = Vec::new();
    while rest.rest.len() > 0 {
        sources.push(rest.text()?);
    }
    Ok(VectorCall::LabelJoin {
        of,
        target,
        separator,
        sources,
    })
}
