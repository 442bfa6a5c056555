//! AWS's constraint sentences, collected over a whole input.
//!
//! The sentence is the one the services send, for example:
//! `1 validation error detected: Value 'a b' at 'trainingJobName' failed to satisfy constraint:
//! Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`.

use crate::failure::Failure;

/// Violated constraints of one input.
#[derive(Debug, Default)]
pub struct Violations {
    found: Vec<String>,
}

impl Violations {
    /// `member` is AWS's path with a lower-case first letter: `outputDataConfig.s3OutputPath`.
    pub fn add(&mut self, member: &str, value: &str, constraint: &str) {
        self.found.push(format!(
            "Value {value} at '{member}' failed to satisfy constraint: {constraint}"
        ));
    }

    pub fn required<T>(&mut self, member: &str, value: Option<&T>) {
        if value.is_none() {
            self.add(member, "null", "Member must not be null");
        }
    }

    /// Checks a present string against inclusive length bounds (in characters) and a test that
    /// stands for AWS's pattern, which the message quotes.
    pub fn text(
        &mut self,
        member: &str,
        value: Option<&str>,
        length: std::ops::RangeInclusive<usize>,
        pattern: &str,
        fits: impl Fn(&str) -> bool,
    ) {
        let Some(value) = value else { return };
        let quoted = format!("'{value}'");
        let characters = value.chars().count();
        if characters < *length.start() {
            let bound =
                format!("Member must have length greater than or equal to {}", length.start());
            self.add(member, &quoted, &bound);
        }
        if characters > *length.end() {
            let bound = format!("Member must have length less than or equal to {}", length.end());
            self.add(member, &quoted, &bound);
        }
        if !fits(value) {
            let constraint = format!("Member must satisfy regular expression pattern: {pattern}");
            self.add(member, &quoted, &constraint);
        }
    }

    pub fn range(
        &mut self,
        member: &str,
        value: Option<i64>,
        range: std::ops::RangeInclusive<i64>,
    ) {
        let Some(value) = value else { return };
        let quoted = format!("'{value}'");
        if value < *range.start() {
            let bound =
                format!("Member must have value greater than or equal to {}", range.start());
            self.add(member, &quoted, &bound);
        }
        if value > *range.end() {
            let bound = format!("Member must have value less than or equal to {}", range.end());
            self.add(member, &quoted, &bound);
        }
    }

    pub fn one_of(&mut self, member: &str, value: Option<&str>, values: &[&str]) {
        let Some(value) = value else { return };
        if !values.contains(&value) {
            let constraint = format!("Member must satisfy enum value set: [{}]", values.join(", "));
            self.add(member, &format!("'{value}'"), &constraint);
        }
    }

    /// `Ok` where nothing was violated, else one ValidationException that names everything.
    pub fn finish(self) -> Result<(), Failure> {
        if self.found.is_empty() {
            return Ok(());
        }
        let count = self.found.len();
        let noun = if count == 1 { "error" } else { "errors" };
        Err(Failure::validation(format!(
            "{count} validation {noun} detected: {}",
            self.found.join("; ")
        )))
    }
}
