//! AWS's published signatures: the version 4 test suite, and the examples of the S3 and IAM
//! documentation. Each must verify, and must not once anything about it is changed.

use http::Request;
use http::request::Parts;

use super::*;

const SUITE_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const DOCS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const FORM: &str = "application/x-www-form-urlencoded";

/// One case of the suite: 2015-08-30, us-east-1, `service`.
struct Case {
    name: &'static str,
    method: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    signed_headers: &'static str,
    body: &'static str,
    signature: &'static str,
}

const fn case(
    name: &'static str,
    method: &'static str,
    target: &'static str,
    signature: &'static str,
) -> Case {
    Case {
        name,
        method,
        target,
        headers: &[],
        signed_headers: "host;x-amz-date",
        body: "",
        signature,
    }
}

const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
const POST: &str = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";

const SUITE: &[Case] = &[
    case("get-vanilla", "GET", "/", VANILLA),
    case("get-slash", "GET", "//", VANILLA),
    case("get-slash-dot-slash", "GET", "/./", VANILLA),
    case("get-relative", "GET", "/example/..", VANILLA),
    case("get-relative-relative", "GET", "/example1/example2/../..", VANILLA),
    case(
        "get-slashes",
        "GET",
        "//example//",
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    case(
        "get-slash-pointless-dot",
        "GET",
        "/./example",
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    case(
        "get-unreserved",
        "GET",
        "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    case(
        "get-vanilla-empty-query-key",
        "GET",
        "/?Param1=value1",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    case(
        "get-vanilla-query-order-key-case",
        "GET",
        "/?Param2=value2&Param1=value1",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    case(
        "get-vanilla-query-unreserved",
        "GET",
        "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\
         =-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    case("post-vanilla", "POST", "/", POST),
    case(
        "post-vanilla-query",
        "POST",
        "/?Param1=value1",
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    Case {
        headers: &[("My-Header1", "value1")],
        signed_headers: "host;my-header1;x-amz-date",
        ..case(
            "post-header-key-sort",
            "POST",
            "/",
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        )
    },
    Case {
        headers: &[("My-Header1", "VALUE1")],
        signed_headers: "host;my-header1;x-amz-date",
        ..case(
            "post-header-value-case",
            "POST",
            "/",
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        )
    },
    Case {
        headers: &[("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
        signed_headers: "host;my-header1;x-amz-date",
        ..case(
            "get-header-key-duplicate",
            "GET",
            "/",
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        )
    },
    Case {
        headers: &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
        signed_headers: "host;my-header1;my-header2;x-amz-date",
        ..case(
            "get-header-value-trim",
            "GET",
            "/",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        )
    },
    Case {
        headers: &[("Content-Type", FORM)],
        signed_headers: "content-type;host;x-amz-date",
        body: "Param1=value1",
        ..case(
            "post-x-www-form-urlencoded",
            "POST",
            "/",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        )
    },
];

impl Case {
    fn request(&self) -> Parts {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={}, Signature={}",
            self.signed_headers, self.signature
        );
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("http://example.amazonaws.com{}", self.target))
            .header("Host", "example.amazonaws.com")
            .header("X-Amz-Date", "20150830T123600Z")
            .header("Authorization", authorization);
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }
}

fn verify(parts: &Parts, body: &str, secret: &str, style: PathStyle) -> Result<(), Rejection> {
    Claim::read(parts)?.verify(parts, &body_hash(body.as_bytes()), secret, style)
}

#[test]
fn the_published_suite_verifies() {
    for case in SUITE {
        let verified = verify(&case.request(), case.body, SUITE_SECRET, PathStyle::Normalized);
        assert_eq!(verified, Ok(()), "{}", case.name);
    }
}

#[test]
fn a_changed_request_does_not_verify() {
    for case in SUITE {
        let style = PathStyle::Normalized;
        let refused = Err(Rejection::mismatch());
        let parts = case.request();
        assert_eq!(verify(&parts, "changed", SUITE_SECRET, style), refused, "{}", case.name);
        assert_eq!(verify(&parts, case.body, DOCS_SECRET, style), refused, "{}", case.name);
        let mut moved = case.request();
        moved.uri = format!("{}x", case.target).parse().unwrap();
        assert_eq!(verify(&moved, case.body, SUITE_SECRET, style), refused, "{}", case.name);
        let mut other = case.request();
        other.method = http::Method::PUT;
        assert_eq!(verify(&other, case.body, SUITE_SECRET, style), refused, "{}", case.name);
        let mut elsewhere = case.request();
        elsewhere.headers.insert("host", "example.com".parse().unwrap());
        assert_eq!(verify(&elsewhere, case.body, SUITE_SECRET, style), refused, "{}", case.name);
    }
}

#[test]
fn the_iam_example_of_the_documentation_verifies() {
    let parts = Request::builder()
        .uri("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08")
        .header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
        .header("Host", "iam.amazonaws.com")
        .header("X-Amz-Date", "20150830T123600Z")
        .header(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        )
        .body(())
        .unwrap()
        .into_parts()
        .0;
    assert_eq!(verify(&parts, "", SUITE_SECRET, PathStyle::Normalized), Ok(()));
}

#[test]
fn the_s3_examples_of_the_documentation_verify() {
    let hash = body_hash(b"");
    let parts = Request::builder()
        .uri("/test.txt")
        .header("Host", "examplebucket.s3.amazonaws.com")
        .header("Range", "bytes=0-9")
        .header("x-amz-content-sha256", &hash)
        .header("x-amz-date", "20130524T000000Z")
        .header(
            "Authorization",
            "AWS4-HMAC-SHA256 \
             Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        )
        .body(())
        .unwrap()
        .into_parts()
        .0;
    assert_eq!(Claim::read(&parts).unwrap().declared_hash, Some(hash));
    assert_eq!(verify(&parts, "", DOCS_SECRET, PathStyle::Verbatim), Ok(()));

    let presigned = presigned("86400");
    let claim = Claim::read(&presigned).unwrap();
    let style = PathStyle::Verbatim;
    assert_eq!(claim.verify(&presigned, UNSIGNED_PAYLOAD, DOCS_SECRET, style), Ok(()));
}

/// The documentation's presigned request for `test.txt`, signed 2013-05-24T00:00:00Z.
fn presigned(expires: &str) -> Parts {
    let uri = format!(
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524\
         %2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires={expires}\
         &X-Amz-SignedHeaders=host\
         &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    );
    let request = Request::builder().uri(uri).header("Host", "examplebucket.s3.amazonaws.com");
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_signature_is_good_for_fifteen_minutes_either_way() {
    const SIGNED_MS: i64 = 1_440_938_160_000;
    let claim = Claim::read(&SUITE[0].request()).unwrap();
    let minutes = |count: i64| SIGNED_MS + count * 60_000;
    for offset in [0, 15, -15] {
        assert_eq!(claim.check_time(minutes(offset)), Ok(()), "{offset}");
    }
    assert_eq!(
        claim.check_time(minutes(16)).unwrap_err().to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123700Z \
         (20150830T125200Z - 15 min.)"
    );
    assert_eq!(
        claim.check_time(minutes(-16)).unwrap_err().to_string(),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123500Z \
         (20150830T122000Z + 15 min.)"
    );
}

#[test]
fn a_presigned_request_is_good_for_as_long_as_it_says() {
    const SIGNED_MS: i64 = 1_369_353_600_000;
    let claim = Claim::read(&presigned("86400")).unwrap();
    assert_eq!(claim.check_time(SIGNED_MS + 86_400_000), Ok(()));
    assert!(claim.check_time(SIGNED_MS + 86_401_000).is_err());
    assert!(claim.check_time(SIGNED_MS - 16 * 60_000).is_err());
}

#[test]
fn a_presigned_request_may_not_outlive_seven_days() {
    assert!(Claim::read(&presigned("604800")).is_ok());
    for expires in ["604801", "-1", "soon", ""] {
        assert!(
            matches!(Claim::read(&presigned(expires)), Err(Rejection::Incomplete(_))),
            "{expires}"
        );
    }
}

#[test]
fn an_incomplete_authorization_says_what_is_missing() {
    let refusal = |authorization: &str| {
        let mut parts = SUITE[0].request();
        parts.headers.insert("authorization", authorization.parse().unwrap());
        Claim::read(&parts).unwrap_err().to_string()
    };
    let scope = "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
    assert_eq!(refusal("Bearer x"), "Unsupported AWS 'algorithm': 'Bearer'");
    assert_eq!(
        refusal(&format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host;x-amz-date")),
        "Authorization header requires 'Signature' parameter."
    );
    assert!(
        refusal("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0")
            .starts_with("Credential must have exactly 5 slash-delimited elements")
    );
    assert!(
        refusal(&format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=x-amz-date, Signature=0"))
            .contains("'Host' or ':authority' must be a 'SignedHeader'")
    );
    let yesterday = scope.replace("20150830", "20150829");
    assert!(
        refusal(&format!("AWS4-HMAC-SHA256 {yesterday}, SignedHeaders=host, Signature=0"))
            .contains("'20150829' != '20150830'")
    );
    let mut unsigned = SUITE[0].request();
    unsigned.headers.remove("authorization");
    assert_eq!(Claim::read(&unsigned).unwrap_err(), Rejection::Missing);
    let mut undated = SUITE[0].request();
    undated.headers.remove("x-amz-date");
    assert!(matches!(Claim::read(&undated), Err(Rejection::Incomplete(_))));
}

#[test]
fn a_target_that_is_not_signed_is_refused() {
    let mut parts = SUITE[0].request();
    parts.headers.insert("x-amz-target", "SageMaker.DeleteModel".parse().unwrap());
    let refusal = Claim::read(&parts).unwrap_err();
    assert!(matches!(refusal, Rejection::Invalid(_)), "{refusal}");
}

#[test]
fn a_claim_shows_no_secret_in_logs() {
    let mut parts = SUITE[0].request();
    parts.headers.insert("x-amz-security-token", "the-token".parse().unwrap());
    let shown = format!("{:?}", Claim::read(&parts).unwrap());
    assert!(!shown.contains("the-token") && !shown.contains(VANILLA), "{shown}");
}
