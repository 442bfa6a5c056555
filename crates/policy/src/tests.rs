use serde_json::json;

use super::*;

fn document(statements: serde_json::Value) -> Document {
    let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    Document::parse(&text).unwrap()
}

fn allowed(document: &Document, action: &str, resource: &str) -> bool {
    decide(std::slice::from_ref(document), &Request { action, resource }).allowed
}

#[test]
fn decisions() {
    let reader = json!({"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/p/*"});
    let both = json!([
        {"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"},
        {"Sid": "Keep", "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": ["arn:aws:s3:::b/keep?"]},
    ]);
    let not_iam =
        json!({"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::secret/*"});
    let cases: &[(&serde_json::Value, &str, &str, bool)] = &[
        (&reader, "s3:GetObject", "arn:aws:s3:::b/p/x/y", true),
        (&reader, "S3:getobject", "arn:aws:s3:::b/p/", true),
        (&reader, "s3:GetObject", "arn:aws:s3:::b/P/x", false),
        (&reader, "s3:GetObject", "arn:aws:s3:::b/q/x", false),
        (&reader, "s3:PutObject", "arn:aws:s3:::b/p/x", false),
        (&reader, "s3:GetObject", "*", false),
        (&both, "s3:DeleteObject", "arn:aws:s3:::b/keep1", false),
        (&both, "s3:DeleteObject", "arn:aws:s3:::b/keep", true),
        (&both, "s3:DeleteObject", "arn:aws:s3:::b/keep12", true),
        (&both, "sagemaker:CreateModel", "*", false),
        (&not_iam, "iam:CreateRole", "*", false),
        (&not_iam, "s3:GetObject", "arn:aws:s3:::secret/x", false),
        (&not_iam, "s3:GetObject", "arn:aws:s3:::open/x", true),
    ];
    for (statements, action, resource, expected) in cases {
        let document = document((*statements).clone());
        assert_eq!(
            allowed(&document, action, resource),
            *expected,
            "{statements} {action} {resource}"
        );
    }
}

#[test]
fn nothing_is_allowed_by_nothing() {
    let decision = decide(&[], &Request { action: "s3:GetObject", resource: "*" });
    assert!(!decision.allowed && !decision.is_explicit_deny());
}

#[test]
fn the_deciding_statement_is_named() {
    let document = document(json!([
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Sid": "No", "Effect": "Deny", "Action": "s3:*", "Resource": "*"},
    ]));
    let request = Request { action: "s3:GetObject", resource: "arn:aws:s3:::b/k" };
    let decision = decide(&[document], &request);
    assert!(decision.is_explicit_deny());
    assert_eq!(decision.reasons, [Reason { document: 0, statement: 1, sid: Some("No".into()) }]);
}

#[test]
fn what_would_narrow_and_is_not_understood_is_refused_by_name() {
    let refusal = |statement: serde_json::Value| {
        let text = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        Document::parse(&text).unwrap_err().to_string()
    };
    let allow = |extra: (&str, serde_json::Value)| {
        let mut statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
        statement[extra.0] = extra.1;
        refusal(statement)
    };
    assert_eq!(allow(("Condition", json!({}))), "`Condition` is not supported in a policy");
    assert_eq!(allow(("Principal", json!("*"))), "`Principal` is not supported in a policy");
    assert_eq!(
        allow(("Resource", json!("arn:aws:s3:::b/${aws:username}"))),
        "`Resource: arn:aws:s3:::b/${aws:username}` is not supported in a policy"
    );
    assert_eq!(allow(("Effect", json!("allow"))), "`Effect` must be Allow or Deny");
    assert_eq!(allow(("Action", json!(7))), "`Action` must be a string or a list of strings");
    assert_eq!(allow(("NotAction", json!("*"))), "`NotAction` must be absent beside its opposite");
    assert_eq!(refusal(json!({"Effect": "Allow", "Action": "*"})), "`Resource` is missing");
    assert_eq!(refusal(json!({"Action": "*", "Resource": "*"})), "`Effect` is missing");
}

#[test]
fn what_is_no_document_is_refused() {
    for text in ["", "[]", "{}", "{\"Version\": \"2020-01-01\", \"Statement\": []}", "null"] {
        assert!(Document::parse(text).is_err(), "{text}");
    }
    assert!(matches!(Document::parse(&" ".repeat(20_000)), Err(Error::TooLarge)));
}

#[test]
fn wildcards() {
    let cases = [
        ("*", "", true),
        ("*", "anything", true),
        ("a*c", "abbbc", true),
        ("a*c", "abbb", false),
        ("a*b*c", "a-b-b-c", true),
        ("?", "", false),
        ("a?c", "abc", true),
        ("**", "x", true),
        ("", "", true),
        ("", "x", false),
        ("é?", "éx", true),
    ];
    for (pattern, text, expected) in cases {
        assert_eq!(pattern::matches(pattern, text, false), expected, "{pattern} {text}");
    }
}

#[test]
fn a_hostile_pattern_is_no_burden() {
    let pattern = format!("{}b", "a*".repeat(2_000));
    assert!(!pattern::matches(&pattern, &"a".repeat(4_000), false));
}
