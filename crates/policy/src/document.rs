//! A policy document, read from JSON.

use serde_json::{Map, Value};

use crate::Request;
use crate::pattern;

/// The largest document; IAM's largest (inline policies of a role) have 10,240 characters.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    sid: Option<String>,
    effect: Effect,
    actions: Selection,
    resources: Selection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// Patterns, or everything but what the patterns match.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Selection {
    Only(Vec<String>),
    AllBut(Vec<String>),
}

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not JSON")]
    Json(#[from] serde_json::Error),
    #[error("larger than {DOCUMENT_BYTES_MAX} bytes")]
    TooLarge,
    #[error("`{0}` is not supported in a policy")]
    Unsupported(String),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{member}` must be {expected}")]
    Malformed { member: &'static str, expected: &'static str },
}

impl Document {
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        let Value::Object(mut members) = serde_json::from_str(text)? else {
            return Err(Error::Malformed { member: "policy", expected: "an object" });
        };
        match members.remove("Version") {
            None => {}
            Some(Value::String(version)) if version == "2012-10-17" || version == "2008-10-17" => {}
            Some(_) => {
                let expected = "2012-10-17 or 2008-10-17";
                return Err(Error::Malformed { member: "Version", expected });
            }
        }
        take_text(&mut members, "Id")?;
        let statements = match members.remove("Statement").ok_or(Error::Missing("Statement"))? {
            Value::Array(statements) => statements,
            statement => vec![statement],
        };
        refuse_rest(&members)?;
        let statements = statements.into_iter().map(Statement::read).collect::<Result<_, _>>()?;
        Ok(Self { statements })
    }

    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

impl Statement {
    fn read(value: Value) -> Result<Self, Error> {
        let Value::Object(mut members) = value else {
            return Err(Error::Malformed { member: "Statement", expected: "an object" });
        };
        let effect = match take_text(&mut members, "Effect")?.as_deref() {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            Some(_) => {
                return Err(Error::Malformed { member: "Effect", expected: "Allow or Deny" });
            }
            None => return Err(Error::Missing("Effect")),
        };
        let statement = Self {
            sid: take_text(&mut members, "Sid")?,
            effect,
            actions: Selection::take(&mut members, "Action", "NotAction")?,
            resources: Selection::take(&mut members, "Resource", "NotResource")?,
        };
        refuse_rest(&members)?;
        Ok(statement)
    }

    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Actions are compared without regard to case, resources with it.
    pub(crate) fn speaks_of(&self, request: &Request<'_>) -> bool {
        self.actions.selects(request.action, true)
            && self.resources.selects(request.resource, false)
    }
}

impl Selection {
    fn take(
        members: &mut Map<String, Value>,
        only: &'static str,
        all_but: &'static str,
    ) -> Result<Self, Error> {
        match (members.remove(only), members.remove(all_but)) {
            (Some(value), None) => Ok(Self::Only(texts(only, value)?)),
            (None, Some(value)) => Ok(Self::AllBut(texts(all_but, value)?)),
            (None, None) => Err(Error::Missing(only)),
            (Some(_), Some(_)) => {
                Err(Error::Malformed { member: all_but, expected: "absent beside its opposite" })
            }
        }
    }

    fn selects(&self, text: &str, ignore_case: bool) -> bool {
        let any = |patterns: &[String]| {
            patterns.iter().any(|pattern| pattern::matches(pattern, text, ignore_case))
        };
        match self {
            Self::Only(patterns) => any(patterns),
            Self::AllBut(patterns) => !any(patterns),
        }
    }
}

fn texts(member: &'static str, value: Value) -> Result<Vec<String>, Error> {
    let expected = "a string or a list of strings";
    let values = match value {
        Value::Array(values) => values,
        value => vec![value],
    };
    let texts = values.into_iter().map(|value| match value {
        // A policy variable would have to be filled in; taken literally it would match nothing.
        Value::String(text) if text.contains("${") => {
            Err(Error::Unsupported(format!("{member}: {text}")))
        }
        Value::String(text) => Ok(text),
        _ => Err(Error::Malformed { member, expected }),
    });
    texts.collect()
}

fn take_text(
    members: &mut Map<String, Value>,
    member: &'static str,
) -> Result<Option<String>, Error> {
    match members.remove(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::Malformed { member, expected: "a string" }),
    }
}

fn refuse_rest(members: &Map<String, Value>) -> Result<(), Error> {
    match members.keys().next() {
        Some(member) => Err(Error::Unsupported(member.clone())),
        None => Ok(()),
    }
}
