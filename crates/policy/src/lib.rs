//! The IAM policy language: documents, and the decision about one request.
//!
//! Pure: it reads no clock, no file and no network, and knows no service. What it does not
//! understand it refuses by name when the document is read, so that no statement is ever
//! evaluated without a part that would have narrowed it.

mod document;
mod pattern;

pub use document::{Document, Effect, Error, Statement};

/// What a principal wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// `s3:GetObject`
    pub action: &'a str,
    /// An ARN, or `*` for actions without a resource.
    pub resource: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// The statements that decided: the denying ones if there are any, else the allowing ones;
    /// none where nothing spoke of the request, which denies it.
    pub reasons: Vec<Reason>,
}

impl Decision {
    /// A Deny spoke, rather than no Allow.
    pub fn is_explicit_deny(&self) -> bool {
        !self.allowed && !self.reasons.is_empty()
    }
}

/// Names one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub document: usize,
    pub statement: usize,
    pub sid: Option<String>,
}

/// Allowed if a statement of any document allows the request and none denies it.
pub fn decide(documents: &[Document], request: &Request<'_>) -> Decision {
    let denying = matching(documents, request, Effect::Deny);
    if !denying.is_empty() {
        return Decision { allowed: false, reasons: denying };
    }
    let allowing = matching(documents, request, Effect::Allow);
    Decision { allowed: !allowing.is_empty(), reasons: allowing }
}

fn matching(documents: &[Document], request: &Request<'_>, effect: Effect) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (document_index, document) in documents.iter().enumerate() {
        for (statement_index, statement) in document.statements().iter().enumerate() {
            if statement.effect() == effect && statement.speaks_of(request) {
                reasons.push(Reason {
                    document: document_index,
                    statement: statement_index,
                    sid: statement.sid().map(str::to_owned),
                });
            }
        }
    }
    reasons
}

#[cfg(test)]
mod tests;
