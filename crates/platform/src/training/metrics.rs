//! Metrics: numbers that a job's log lines hold, found by regular expressions.
//!
//! Patterns run over what a person would see of a line: without colour codes, and of a progress
//! bar that redraws itself only the last drawing. They are linear in the length of the line
//! (no backtracking), and lines, patterns and their compiled forms are bounded.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::limits::{METRIC_LINE_BYTES_MAX, METRIC_PATTERN_BYTES_MAX};

/// A name and the pattern whose first group holds its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub name: String,
    pub regex: String,
}

/// What the native image classifier prints. As with AWS's built-in algorithms, a job that defines
/// no metrics has these.
pub fn of_image_classification() -> Vec<Definition> {
    [
        ("train:accuracy", "train:accuracy=([0-9.]+)"),
        ("train:loss", "train:loss=([0-9.]+)"),
        ("validation:accuracy", "validation:accuracy=([0-9.]+)"),
        ("validation:loss", "validation:loss=([0-9.]+)"),
        ("test:loss", "Testing Loss: ([0-9.]+)"),
        ("test:accuracy", "Testing Accuracy: ([0-9.]+)"),
    ]
    .map(|(name, regex)| Definition { name: name.to_owned(), regex: regex.to_owned() })
    .to_vec()
}

/// Whether the pattern can be run; the error says why not.
pub fn check(regex: &str) -> Result<(), BadPattern> {
    compile(regex).map(drop)
}

/// The last value of each metric, and how far the log was read for them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Sequence number of the first log event that was not looked at.
    pub next_sequence: u64,
    pub values: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    pub name: String,
    pub value: f64,
    pub at_ms: i64,
}

impl Reading {
    /// Takes the values of one line; a later value replaces an earlier one.
    pub fn take(&mut self, patterns: &Patterns, line: &str, at_ms: i64) {
        let visible = visible(line);
        if visible.len() > METRIC_LINE_BYTES_MAX {
            return;
        }
        for (name, regex) in &patterns.compiled {
            let Some(value) = last_value(regex, &visible) else { continue };
            match self.values.iter_mut().find(|known| known.name == *name) {
                Some(known) => {
                    known.value = value;
                    known.at_ms = at_ms;
                }
                None => self.values.push(Value { name: name.clone(), value, at_ms }),
            }
        }
    }
}

/// Compiled definitions.
pub struct Patterns {
    compiled: Vec<(String, Regex)>,
}

impl Patterns {
    /// Definitions were checked when the job was created; one that cannot be compiled all the
    /// same finds nothing.
    pub fn new(definitions: &[Definition]) -> Self {
        let compiled = definitions.iter().filter_map(|definition| {
            compile(&definition.regex).ok().map(|regex| (definition.name.clone(), regex))
        });
        Self { compiled: compiled.collect() }
    }
}

fn compile(regex: &str) -> Result<Regex, BadPattern> {
    RegexBuilder::new(regex)
        .size_limit(METRIC_PATTERN_BYTES_MAX)
        .dfa_size_limit(METRIC_PATTERN_BYTES_MAX)
        .build()
        .map_err(BadPattern)
}

/// The number in the first group (or the whole match of a pattern without groups) of the last
/// match that is one.
fn last_value(regex: &Regex, line: &str) -> Option<f64> {
    regex
        .captures_iter(line)
        .filter_map(|captures| {
            let text = captures.get(1).or_else(|| captures.get(0))?.as_str();
            text.trim().parse::<f64>().ok().filter(|value| value.is_finite())
        })
        .last()
}

/// What a terminal would show of the line.
fn visible(line: &str) -> String {
    let plain = without_escapes(line);
    let drawn = plain.trim_end_matches(['\r', '\n']);
    drawn.rsplit('\r').next().unwrap_or_default().to_owned()
}

/// Leaves out ECMA-48 control sequences (colours, cursor moves) and operating-system commands
/// (window titles).
fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('[') => {
                let _final_byte = characters.find(|byte| ('@'..='~').contains(byte));
            }
            Some(']') => {
                if characters.find(|byte| matches!(byte, '\u{7}' | '\u{1b}')) == Some('\u{1b}') {
                    let _backslash = characters.next();
                }
            }
            Some(_) | None => {}
        }
    }
    plain
}

#[derive(Debug, thiserror::Error)]
#[error("the pattern cannot be run")]
pub struct BadPattern(#[source] pub regex::Error);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(definitions: &[Definition], lines: &[&str]) -> Vec<(String, f64)> {
        let patterns = Patterns::new(definitions);
        let mut reading = Reading::default();
        for (line, at_ms) in lines.iter().zip(0..) {
            reading.take(&patterns, line, at_ms);
        }
        reading.values.into_iter().map(|value| (value.name, value.value)).collect()
    }

    fn definition(name: &str, regex: &str) -> Definition {
        Definition { name: name.to_owned(), regex: regex.to_owned() }
    }

    #[test]
    fn native_lines_give_the_last_value_of_each_metric() {
        let values = read(
            &of_image_classification(),
            &[
                "Epoch 1/2 train:accuracy=0.5 train:loss=1.5 validation:accuracy=0.4 validation:loss=1.9",
                "Epoch 2/2 train:accuracy=0.94 train:loss=0.22 validation:accuracy=0.91 validation:loss=0.31",
                "Testing Loss: 0.2871",
                "Testing Accuracy: 0.9178",
            ],
        );
        let expected = [
            ("train:accuracy", 0.94),
            ("train:loss", 0.22),
            ("validation:accuracy", 0.91),
            ("validation:loss", 0.31),
            ("test:loss", 0.2871),
            ("test:accuracy", 0.9178),
        ];
        assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn colour_codes_are_not_matched() {
        let definitions = [definition("loss", "loss=([0-9.]+)"), definition("any", "([0-9]+)m")];
        let values = read(&definitions, &["\u{1b}[31mloss=\u{1b}[1m0.5\u{1b}[0m"]);
        assert_eq!(values, [("loss".to_owned(), 0.5)]);
    }

    #[test]
    fn only_the_last_drawing_of_a_progress_bar_counts() {
        let definitions = [definition("step", "step ([0-9]+)")];
        assert_eq!(read(&definitions, &["step 1\rstep 2\r\n"]), [("step".to_owned(), 2.0)]);
    }

    #[test]
    fn what_is_no_number_is_no_value() {
        let definitions = [definition("x", "x=(\\S+)")];
        assert!(read(&definitions, &["x=abc", "x=1.2.3", "x=nan", "x=inf"]).is_empty());
        assert_eq!(read(&definitions, &["x=1e-3 x=oops"]), [("x".to_owned(), 0.001)]);
    }

    #[test]
    fn overlong_lines_are_left_alone() {
        let long = format!("x=1{}", " ".repeat(METRIC_LINE_BYTES_MAX));
        assert!(read(&[definition("x", "x=([0-9]+)")], &[&long]).is_empty());
    }

    #[test]
    fn patterns_that_cannot_be_bounded_are_refused() {
        for bad in ["(", "a{9999}{9999}", "(?=lookahead)", "(x)\\1"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        check("Testing Loss: (.*?);").unwrap();
    }
}
