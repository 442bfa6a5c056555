//! Which container image names this version can run, and what runs for them.
//!
//! No image is ever pulled. A name stands for a workload that this binary carries; every other
//! name is refused when the resource is created.

use kennel_wire::run::Program;

/// The native workload under its own name.
pub const IMAGE_CLASSIFICATION: &str = "kennel/image-classification:1";

/// What to say where a name is refused.
pub const SUPPORTED: &str = "Member must name an image that this version runs: \
     kennel/image-classification:1, or the image-classification:1 of the AWS built-in algorithms";

/// The program behind an image name; `None` where this version has none.
pub fn resolve(image: &str) -> Option<Program> {
    let known = image == IMAGE_CLASSIFICATION || is_built_in_image_classification(image);
    known.then_some(Program::ImageClassification)
}

/// Whether it is the URI the SageMaker SDKs compute for the built-in algorithm in some region:
/// `811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1`.
pub fn is_built_in_image_classification(image: &str) -> bool {
    let Some(registry) = image.strip_suffix("/image-classification:1") else { return false };
    let Some((account, host)) = registry.split_once(".dkr.ecr.") else { return false };
    let Some((region, domain)) = host.split_once('.') else { return false };
    REGISTRIES.iter().any(|one| one.0 == region && one.1 == account && domain == domain_of(region))
}

fn domain_of(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "amazonaws.com.cn",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ if region.starts_with("us-isof-") => "csp.hci.ic.gov",
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        _ => "amazonaws.com",
    }
}

/// Region and account of the registry that holds the built-in algorithm, as the SageMaker Python
/// SDK 2.257.7 lists them in `image_uri_config/image-classification.json`.
const REGISTRIES: &[(&str, &str)] = &[
    ("af-south-1", "455444449433"),
    ("ap-east-1", "286214385809"),
    ("ap-northeast-1", "501404015308"),
    ("ap-northeast-2", "306986355934"),
    ("ap-northeast-3", "867004704886"),
    ("ap-south-1", "991648021394"),
    ("ap-south-2", "628508329040"),
    ("ap-southeast-1", "475088953585"),
    ("ap-southeast-2", "544295431143"),
    ("ap-southeast-3", "951798379941"),
    ("ap-southeast-4", "106583098589"),
    ("ca-central-1", "469771592824"),
    ("ca-west-1", "190319476487"),
    ("cn-north-1", "390948362332"),
    ("cn-northwest-1", "387376663083"),
    ("eu-central-1", "813361260812"),
    ("eu-central-2", "680994064768"),
    ("eu-north-1", "669576153137"),
    ("eu-south-1", "257386234256"),
    ("eu-south-2", "104374241257"),
    ("eu-west-1", "685385470294"),
    ("eu-west-2", "644912444149"),
    ("eu-west-3", "749696950732"),
    ("il-central-1", "898809789911"),
    ("me-central-1", "272398656194"),
    ("me-south-1", "249704162688"),
    ("sa-east-1", "855470959533"),
    ("us-east-1", "811284229777"),
    ("us-east-2", "825641698319"),
    ("us-gov-east-1", "237065988967"),
    ("us-gov-west-1", "226302683700"),
    ("us-iso-east-1", "490574956308"),
    ("us-isob-east-1", "765400339828"),
    ("us-isof-east-1", "108575199400"),
    ("us-isof-south-1", "124985052026"),
    ("us-west-1", "632365934929"),
    ("us-west-2", "433757028032"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_and_built_in_names_run_the_same_program() {
        for image in [
            "kennel/image-classification:1",
            "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1",
            "390948362332.dkr.ecr.cn-north-1.amazonaws.com.cn/image-classification:1",
        ] {
            assert_eq!(resolve(image), Some(Program::ImageClassification), "{image}");
        }
    }

    #[test]
    fn other_names_run_nothing() {
        for image in [
            "",
            "kennel/image-classification",
            "kennel/image-classification:2",
            "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:1.4.0-cpu-py3",
            "811284229777.dkr.ecr.us-east-2.amazonaws.com/image-classification:1",
            "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:latest",
            "811284229777.dkr.ecr.us-east-1.example.org/image-classification:1",
        ] {
            assert_eq!(resolve(image), None, "{image}");
        }
    }
}
