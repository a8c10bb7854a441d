//! What the parser objects to, in words that say how to mend it.

use granit_parser::ErrorKind;

use super::too_deep;

/// The parser stops at the brace of `${...}` in a list or map that is written in brackets.
pub(super) fn reference_within_brackets() -> String {
    "within brackets or braces a value with `${...}` has to stand in quotes, as in \
     `{endpoint: \"${env:HOST}:4318\"}`"
        .to_owned()
}

/// A syntax error as somebody would say it who sees the text.
pub(super) fn plain(kind: &ErrorKind) -> String {
    use ErrorKind as E;
    match kind {
        E::MappingValueNotAllowed => {
            "a `:` can't stand here: quote the value that contains it, or mend the \
             indentation of this line, or the line above lacks its `:`"
        }
        E::InvalidColonPlacement => {
            "a `:` can't stand here: is a bracket or a brace before it still open?"
        }
        E::SimpleKeyExpected | E::InvalidSimpleKey => {
            "expected `key: value`: a `:` with a space behind it is missing"
        }
        E::ExpectedBlockMappingKey | E::InvalidIndentation => {
            "expected a key: is this line indented like the other keys of its map?"
        }
        E::ExpectedBlockSequenceEntry => {
            "expected `- ` and an item: is this line indented like the other items of its list?"
        }
        E::BlockSequenceEntryNotAllowed | E::BlockEntryInFlowCollection => {
            "a list item can't stand here: begin the list on a line of its own"
        }
        E::UnclosedFlowCollection { open } => return format!("`{open}` is never closed"),
        E::UnexpectedEofFlowSequence => "`[` is never closed",
        E::UnexpectedEofFlowMapping | E::UnexpectedEofImplicitFlowMapping => "`{` is never closed",
        E::ExpectedFlowSequenceSeparator => "expected `,` or `]`",
        E::ExpectedFlowMappingSeparator => "expected `,` or `}`",
        E::MisplacedFlowCollectionEnd => "a bracket or brace is closed that was never opened",
        E::MismatchedFlowCollectionEnd { open, close } => {
            return format!("`{open}` is closed by `{close}`");
        }
        E::UnclosedQuotedScalar => "a quote is never closed",
        E::InvalidQuotedScalarIndent => {
            "a quote is not closed on its line, and what follows is not indented"
        }
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => {
            "something follows the closing quote: put the whole value in quotes"
        }
        E::UnknownQuotedScalarEscape => {
            "unknown escape in double quotes: write a backslash as `\\\\`, or use single quotes"
        }
        E::UnexpectedCharacter { character } => {
            return format!(
                "a value can't begin with `{}`: put it in quotes",
                character.escape_default()
            );
        }
        E::UnknownAnchor => "this alias has no anchor before it: quote the value if `*` is meant",
        E::TabNotAllowed
        | E::TabInBlockIndentation
        | E::TabInIndentation
        | E::TabInPlainScalar
        | E::TabAtBlockScalarStart => "a tab can't stand here: use spaces",
        E::RecursionLimitExceeded => return too_deep(),
        other => return format!("not valid YAML: {other}"),
    }
    .to_owned()
}
