//! Random regular expressions, right and wrong ones, and texts for them.
#![allow(unreachable_pub, reason = "only tests reach it")]

use super::random::Dice;

const PIECES: &[&str] = &[
    "a",
    "b",
    "1",
    "_",
    "-",
    ".",
    "é",
    "\n",
    "^",
    "$",
    "|",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "*",
    "+",
    "?",
    "\\",
    ",",
    ":",
    "&&",
    "--",
    "~~",
    "#",
    "<",
    r"\d",
    r"\w",
    r"\s",
    r"\D",
    r"\W",
    r"\S",
    r"\b",
    r"\B",
    r"\A",
    r"\z",
    r"\Z",
    r"\Qa.\E",
    r"\pL",
    r"\PN",
    r"\p{Greek}",
    r"\p{^Lu}",
    r"\x41",
    r"\x{e9}",
    r"\x",
    r"\141",
    r"\1",
    r"\8",
    r"\n",
    r"\e",
    r"\-",
    r"\<",
    "(?i)",
    "(?m)",
    "(?-s)",
    "(?U)",
    "(?i:",
    "(?x)",
    "(?P<n>",
    "(?:",
    "(?)",
    "(?-)",
    "[^",
    "[a-z]",
    "[[:alpha:]]",
    "[[:^digit:]]",
    "[[:none:]]",
    "a-z",
    "z-a",
    "{2}",
    "{1,}",
    "{0,3}",
    "{,3}",
    "{01}",
    "{1001}",
    "(a{100}){10}",
    "*?",
    "**",
    r"[\w-]{1,63}",
    "[+--]",
    "[]a]",
    "[^]a]",
    "[a-\\d]",
];

const TEXTS: &[&str] = &[
    "", "a", "b", "ab", "aab", "A", "K", "\u{212a}", "é", "É", "-", "a-b", "a\nb", "\n", "1", "_",
    "α", "٣", " ", "\u{b}", "]", "[", "&", "a{,3}", "{01}", "\\", "^", "a.", "node-1", "<", "#",
];

pub fn expression(dice: &mut Dice) -> String {
    let mut text: String = (0..1 + dice.below(6)).map(|_| dice.pick(PIECES)).collect();
    if dice.one_in(3) {
        text = format!("[{text}]");
    }
    text
}

pub fn text(dice: &mut Dice) -> &'static str {
    dice.pick(TEXTS)
}
