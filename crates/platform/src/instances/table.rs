//! The table itself. vCPUs, memory and accelerators are those of the EC2 instance of the same name.

use super::{Accelerators, InstanceType, Price};

/// In us-east-1 training, real-time hosting and notebooks on one of the priced types cost the same
/// an hour; a type whose price changed or differs between them stays without.
const REGION: &str = "us-east-1";
const READ_ON: &str = "2026-11-22";

const FMBENCH: &str = "https://github.com/aws-samples/foundation-model-benchmarking-tool/blob/00ef155d0f9c6b999d796f915159d3d622f8233d/src/fmbench/configs/pricing.yml";
const STUDIO: &str = "https://github.com/JHUAPL-DTC-TA2/wiki/blob/2b48144868afcfec7b2f51b3e7621a0a1d981073/docs/sagemaker_instances.md";
const GPU_LIST: &str = "https://github.com/goerlitz/nlp-classification/blob/06c56842b96cbe97afe7856d059165a7bddd7e52/notebooks/10kGNAD/sagemaker/README.md";

const MIB: u64 = 1 << 20;

/// Where AWS takes a type.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Training,
    Hosting,
    Both,
}

use Takes::{Both, Hosting, Training};

#[rustfmt::skip]
pub(super) static ALL: &[InstanceType] = &[
    row("ml.t2.medium", 2, 4_096, Hosting),
    row("ml.t2.large", 2, 8_192, Hosting),
    row("ml.t2.xlarge", 4, 16_384, Hosting),
    row("ml.t2.2xlarge", 8, 32_768, Hosting),
    row("ml.t3.medium", 2, 4_096, Training),
    row("ml.t3.large", 2, 8_192, Training),
    row("ml.t3.xlarge", 4, 16_384, Training),
    row("ml.t3.2xlarge", 8, 32_768, Training),
    row("ml.m4.xlarge", 4, 16_384, Both),
    row("ml.m4.2xlarge", 8, 32_768, Both),
    row("ml.m4.4xlarge", 16, 65_536, Both),
    row("ml.m4.10xlarge", 40, 163_840, Both),
    row("ml.m4.16xlarge", 64, 262_144, Both),
    row("ml.m5.large", 2, 8_192, Both).at(0.115, STUDIO),
    row("ml.m5.xlarge", 4, 16_384, Both).at(0.23, FMBENCH),
    row("ml.m5.2xlarge", 8, 32_768, Both).at(0.461, STUDIO),
    row("ml.m5.4xlarge", 16, 65_536, Both),
    row("ml.m5.12xlarge", 48, 196_608, Both),
    row("ml.m5.24xlarge", 96, 393_216, Both),
    row("ml.m5d.large", 2, 8_192, Hosting),
    row("ml.m5d.xlarge", 4, 16_384, Hosting),
    row("ml.m5d.2xlarge", 8, 32_768, Hosting),
    row("ml.m5d.4xlarge", 16, 65_536, Hosting),
    row("ml.m5d.12xlarge", 48, 196_608, Hosting),
    row("ml.m5d.24xlarge", 96, 393_216, Hosting),
    row("ml.m6i.large", 2, 8_192, Both),
    row("ml.m6i.xlarge", 4, 16_384, Both),
    row("ml.m6i.2xlarge", 8, 32_768, Both),
    row("ml.m6i.4xlarge", 16, 65_536, Both),
    row("ml.m6i.8xlarge", 32, 131_072, Both),
    row("ml.m6i.12xlarge", 48, 196_608, Both),
    row("ml.m6i.16xlarge", 64, 262_144, Both),
    row("ml.m6i.24xlarge", 96, 393_216, Both),
    row("ml.m6i.32xlarge", 128, 524_288, Both),
    row("ml.m7i.large", 2, 8_192, Both),
    row("ml.m7i.xlarge", 4, 16_384, Both),
    row("ml.m7i.2xlarge", 8, 32_768, Both),
    row("ml.m7i.4xlarge", 16, 65_536, Both),
    row("ml.m7i.8xlarge", 32, 131_072, Both),
    row("ml.m7i.12xlarge", 48, 196_608, Both),
    row("ml.m7i.16xlarge", 64, 262_144, Both),
    row("ml.m7i.24xlarge", 96, 393_216, Both),
    row("ml.m7i.48xlarge", 192, 786_432, Both),
    row("ml.c4.large", 2, 3_840, Hosting),
    row("ml.c4.xlarge", 4, 7_680, Both),
    row("ml.c4.2xlarge", 8, 15_360, Both),
    row("ml.c4.4xlarge", 16, 30_720, Both),
    row("ml.c4.8xlarge", 36, 61_440, Both),
    row("ml.c5.large", 2, 4_096, Hosting),
    row("ml.c5.xlarge", 4, 8_192, Both).at(0.204, STUDIO),
    row("ml.c5.2xlarge", 8, 16_384, Both).at(0.408, STUDIO),
    row("ml.c5.4xlarge", 16, 32_768, Both),
    row("ml.c5.9xlarge", 36, 73_728, Both).at(1.836, STUDIO),
    row("ml.c5.18xlarge", 72, 147_456, Both),
    row("ml.c5n.xlarge", 4, 10_752, Training),
    row("ml.c5n.2xlarge", 8, 21_504, Training),
    row("ml.c5n.4xlarge", 16, 43_008, Training),
    row("ml.c5n.9xlarge", 36, 98_304, Training),
    row("ml.c5n.18xlarge", 72, 196_608, Training),
    row("ml.c6i.large", 2, 4_096, Hosting),
    row("ml.c6i.xlarge", 4, 8_192, Both),
    row("ml.c6i.2xlarge", 8, 16_384, Both),
    row("ml.c6i.4xlarge", 16, 32_768, Both),
    row("ml.c6i.8xlarge", 32, 65_536, Both),
    row("ml.c6i.12xlarge", 48, 98_304, Both),
    row("ml.c6i.16xlarge", 64, 131_072, Both),
    row("ml.c6i.24xlarge", 96, 196_608, Both),
    row("ml.c6i.32xlarge", 128, 262_144, Both),
    row("ml.c7i.large", 2, 4_096, Both),
    row("ml.c7i.xlarge", 4, 8_192, Both),
    row("ml.c7i.2xlarge", 8, 16_384, Both),
    row("ml.c7i.4xlarge", 16, 32_768, Both),
    row("ml.c7i.8xlarge", 32, 65_536, Both),
    row("ml.c7i.12xlarge", 48, 98_304, Both),
    row("ml.c7i.16xlarge", 64, 131_072, Both),
    row("ml.c7i.24xlarge", 96, 196_608, Both),
    row("ml.c7i.48xlarge", 192, 393_216, Both),
    row("ml.r5.large", 2, 16_384, Both),
    row("ml.r5.xlarge", 4, 32_768, Both),
    row("ml.r5.2xlarge", 8, 65_536, Both),
    row("ml.r5.4xlarge", 16, 131_072, Both),
    row("ml.r5.8xlarge", 32, 262_144, Training),
    row("ml.r5.12xlarge", 48, 393_216, Both),
    row("ml.r5.16xlarge", 64, 524_288, Training),
    row("ml.r5.24xlarge", 96, 786_432, Both),
    row("ml.r6i.large", 2, 16_384, Both),
    row("ml.r6i.xlarge", 4, 32_768, Both),
    row("ml.r6i.2xlarge", 8, 65_536, Both),
    row("ml.r6i.4xlarge", 16, 131_072, Both),
    row("ml.r6i.8xlarge", 32, 262_144, Both),
    row("ml.r6i.12xlarge", 48, 393_216, Both),
    row("ml.r6i.16xlarge", 64, 524_288, Both),
    row("ml.r6i.24xlarge", 96, 786_432, Both),
    row("ml.r6i.32xlarge", 128, 1_048_576, Both),
    row("ml.r7i.large", 2, 16_384, Both),
    row("ml.r7i.xlarge", 4, 32_768, Both),
    row("ml.r7i.2xlarge", 8, 65_536, Both),
    row("ml.r7i.4xlarge", 16, 131_072, Both),
    row("ml.r7i.8xlarge", 32, 262_144, Both),
    row("ml.r7i.12xlarge", 48, 393_216, Both),
    row("ml.r7i.16xlarge", 64, 524_288, Both),
    row("ml.r7i.24xlarge", 96, 786_432, Both),
    row("ml.r7i.48xlarge", 192, 1_572_864, Both),
    row("ml.p2.xlarge", 4, 62_464, Both).with(1, "NVIDIA K80"),
    row("ml.p2.8xlarge", 32, 499_712, Both).with(8, "NVIDIA K80"),
    row("ml.p2.16xlarge", 64, 749_568, Both).with(16, "NVIDIA K80"),
    row("ml.p3.2xlarge", 8, 62_464, Both).with(1, "NVIDIA V100").at(3.825, GPU_LIST),
    row("ml.p3.8xlarge", 32, 249_856, Both).with(4, "NVIDIA V100").at(14.688, GPU_LIST),
    row("ml.p3.16xlarge", 64, 499_712, Both).with(8, "NVIDIA V100").at(28.152, GPU_LIST),
    row("ml.p3dn.24xlarge", 96, 786_432, Training).with(8, "NVIDIA V100"),
    row("ml.p4d.24xlarge", 96, 1_179_648, Both).with(8, "NVIDIA A100"),
    row("ml.p4de.24xlarge", 96, 1_179_648, Both).with(8, "NVIDIA A100 80GB"),
    row("ml.p5.4xlarge", 16, 262_144, Both).with(1, "NVIDIA H100"),
    row("ml.p5.48xlarge", 192, 2_097_152, Both).with(8, "NVIDIA H100"),
    row("ml.g4dn.xlarge", 4, 16_384, Both).with(1, "NVIDIA T4").at(0.7364, GPU_LIST),
    row("ml.g4dn.2xlarge", 8, 32_768, Both).with(1, "NVIDIA T4").at(0.94, GPU_LIST),
    row("ml.g4dn.4xlarge", 16, 65_536, Both).with(1, "NVIDIA T4").at(1.505, GPU_LIST),
    row("ml.g4dn.8xlarge", 32, 131_072, Both).with(1, "NVIDIA T4").at(2.72, GPU_LIST),
    row("ml.g4dn.12xlarge", 48, 196_608, Both).with(4, "NVIDIA T4").at(4.89, GPU_LIST),
    row("ml.g4dn.16xlarge", 64, 262_144, Both).with(1, "NVIDIA T4").at(5.44, GPU_LIST),
    row("ml.g5.xlarge", 4, 16_384, Both).with(1, "NVIDIA A10G").at(1.4084, FMBENCH),
    row("ml.g5.2xlarge", 8, 32_768, Both).with(1, "NVIDIA A10G").at(1.515, FMBENCH),
    row("ml.g5.4xlarge", 16, 65_536, Both).with(1, "NVIDIA A10G").at(2.03, STUDIO),
    row("ml.g5.8xlarge", 32, 131_072, Both).with(1, "NVIDIA A10G"),
    row("ml.g5.12xlarge", 48, 196_608, Both).with(4, "NVIDIA A10G").at(7.09, FMBENCH),
    row("ml.g5.16xlarge", 64, 262_144, Both).with(1, "NVIDIA A10G"),
    row("ml.g5.24xlarge", 96, 393_216, Both).with(4, "NVIDIA A10G").at(10.18, FMBENCH),
    row("ml.g5.48xlarge", 192, 786_432, Both).with(8, "NVIDIA A10G").at(20.36, FMBENCH),
    row("ml.g6.xlarge", 4, 16_384, Both).with(1, "NVIDIA L4"),
    row("ml.g6.2xlarge", 8, 32_768, Both).with(1, "NVIDIA L4").at(1.222, FMBENCH),
    row("ml.g6.4xlarge", 16, 65_536, Both).with(1, "NVIDIA L4"),
    row("ml.g6.8xlarge", 32, 131_072, Both).with(1, "NVIDIA L4"),
    row("ml.g6.12xlarge", 48, 196_608, Both).with(4, "NVIDIA L4").at(5.752, FMBENCH),
    row("ml.g6.16xlarge", 64, 262_144, Both).with(1, "NVIDIA L4").at(4.246, FMBENCH),
    row("ml.g6.24xlarge", 96, 393_216, Both).with(4, "NVIDIA L4").at(8.344, FMBENCH),
    row("ml.g6.48xlarge", 192, 786_432, Both).with(8, "NVIDIA L4").at(16.688, FMBENCH),
    row("ml.g6e.xlarge", 4, 32_768, Both).with(1, "NVIDIA L40S"),
    row("ml.g6e.2xlarge", 8, 65_536, Both).with(1, "NVIDIA L40S"),
    row("ml.g6e.4xlarge", 16, 131_072, Both).with(1, "NVIDIA L40S"),
    row("ml.g6e.8xlarge", 32, 262_144, Both).with(1, "NVIDIA L40S"),
    row("ml.g6e.12xlarge", 48, 393_216, Both).with(4, "NVIDIA L40S"),
    row("ml.g6e.16xlarge", 64, 524_288, Both).with(1, "NVIDIA L40S"),
    row("ml.g6e.24xlarge", 96, 786_432, Both).with(4, "NVIDIA L40S"),
    row("ml.g6e.48xlarge", 192, 1_572_864, Both).with(8, "NVIDIA L40S"),
    row("ml.inf1.xlarge", 4, 8_192, Hosting).with(1, "AWS Inferentia"),
    row("ml.inf1.2xlarge", 8, 16_384, Hosting).with(1, "AWS Inferentia"),
    row("ml.inf1.6xlarge", 24, 49_152, Hosting).with(4, "AWS Inferentia"),
    row("ml.inf1.24xlarge", 96, 196_608, Hosting).with(16, "AWS Inferentia"),
    row("ml.inf2.xlarge", 4, 16_384, Hosting).with(1, "AWS Inferentia2").at(0.99, FMBENCH),
    row("ml.inf2.8xlarge", 32, 131_072, Hosting).with(1, "AWS Inferentia2").at(2.36, FMBENCH),
    row("ml.inf2.24xlarge", 96, 393_216, Hosting).with(6, "AWS Inferentia2").at(7.79, FMBENCH),
    row("ml.inf2.48xlarge", 192, 786_432, Hosting).with(12, "AWS Inferentia2").at(15.58, FMBENCH),
    row("ml.trn1.2xlarge", 8, 32_768, Both).with(1, "AWS Trainium"),
    row("ml.trn1.32xlarge", 128, 524_288, Both).with(16, "AWS Trainium"),
];

const fn row(name: &'static str, vcpus: u32, memory_mib: u64, takes: Takes) -> InstanceType {
    InstanceType {
        name,
        vcpus,
        memory_bytes: memory_mib * MIB,
        accelerators: None,
        trains: matches!(takes, Training | Both),
        hosts: matches!(takes, Hosting | Both),
        training_price: None,
        hosting_price: None,
    }
}

impl InstanceType {
    const fn with(mut self, count: u32, kind: &'static str) -> Self {
        self.accelerators = Some(Accelerators { count, kind });
        self
    }

    const fn at(mut self, usd_per_hour: f64, source: &'static str) -> Self {
        let price = Price { usd_per_hour, region: REGION, read_on: READ_ON, source };
        if self.trains {
            self.training_price = Some(price);
        }
        if self.hosts {
            self.hosting_price = Some(price);
        }
        self
    }
}
