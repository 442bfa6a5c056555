//! The instance types this version knows: vCPUs, memory, accelerators and on-demand prices.
//!
//! An instance type is an upper limit here: a run gets the lesser of what the type has and what
//! this machine has ([`limits_on_this_host`]). A price that was not read from a page is not
//! guessed; it prints [`PRICE_UNKNOWN`].

use kennel_wire::run::Limits;

mod table;

/// Printed where a type has no price.
pub const PRICE_UNKNOWN: &str = "price unknown";

/// Processes and threads of one run: above what ONNX Runtime, a Python toolkit and its data
/// loaders start together on the largest type, far below what starves a machine of ids.
const PROCESSES_MAX: u32 = 4_096;

/// The type of that name, `ml.m5.xlarge`.
pub fn lookup(name: &str) -> Option<&'static InstanceType> {
    table::ALL.iter().find(|instance| instance.name == name)
}

/// Every type, grouped by family.
pub fn all() -> &'static [InstanceType] {
    table::ALL
}

/// What a run of this type gets on a machine with `host_cpus` and `host_memory_bytes`.
pub fn limits_on_this_host(
    instance: &InstanceType,
    host_cpus: u32,
    host_memory_bytes: u64,
) -> Fitted {
    let limits = Limits {
        vcpus: instance.vcpus.min(host_cpus.max(1)),
        memory_bytes: instance.memory_bytes.min(host_memory_bytes),
        processes: PROCESSES_MAX,
    };
    let note = note(instance, &limits);
    Fitted { limits, note }
}

/// Limits of a run and, where they are less than what the type has, a sentence that says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    pub limits: Limits,
    /// For StatusMessage and the log: `ml.g5.xlarge has 4 vCPUs, ...; this machine gives ...`.
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct InstanceType {
    pub name: &'static str,
    pub vcpus: u32,
    pub memory_bytes: u64,
    pub accelerators: Option<Accelerators>,
    /// Whether AWS takes the type for training jobs, and for endpoints.
    pub trains: bool,
    pub hosts: bool,
    /// On-demand, of a training job's instance.
    pub training_price: Option<Price>,
    /// On-demand, of a real-time endpoint's instance.
    pub hosting_price: Option<Price>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accelerators {
    pub count: u32,
    /// `NVIDIA A10G`
    pub kind: &'static str,
}

/// What an hour of one instance costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    pub usd_per_hour: f64,
    pub region: &'static str,
    /// The day the source was read, `2026-11-22`.
    pub read_on: &'static str,
    pub source: &'static str,
}

impl Price {
    /// US dollars for `secs` of `instances` machines; AWS bills by the second.
    pub fn usd(&self, secs: f64, instances: u32) -> f64 {
        self.usd_per_hour * secs * f64::from(instances) / 3_600.0
    }
}

/// `$0.23 per hour in us-east-1` or [`PRICE_UNKNOWN`].
pub fn describe_price(price: Option<&Price>) -> String {
    match price {
        Some(price) => format!("${} per hour in {}", price.usd_per_hour, price.region),
        None => PRICE_UNKNOWN.to_owned(),
    }
}

fn note(instance: &InstanceType, limits: &Limits) -> Option<String> {
    let lessened = limits.vcpus < instance.vcpus || limits.memory_bytes < instance.memory_bytes;
    let mut sentences = Vec::new();
    if lessened {
        sentences.push(format!(
            "{} has {} vCPUs and {} GiB of memory; this machine gives {} and {} GiB.",
            instance.name,
            instance.vcpus,
            gib(instance.memory_bytes),
            limits.vcpus,
            gib(limits.memory_bytes),
        ));
    }
    if let Some(accelerators) = &instance.accelerators {
        sentences.push(format!(
            "The {} x {} of {} is not offered here: the workload runs on the CPU.",
            accelerators.count, accelerators.kind, instance.name,
        ));
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// Gibibytes with at most one decimal place.
fn gib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 30;
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        rest => format!("{}.{rest}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn smaller_host_lessens_the_type_and_says_so() {
        let instance = lookup("ml.m5.4xlarge").unwrap();
        let fitted = limits_on_this_host(instance, 2, 24 * GIB);
        assert_eq!(fitted.limits.vcpus, 2);
        assert_eq!(fitted.limits.memory_bytes, 24 * GIB);
        assert_eq!(
            fitted.note.unwrap(),
            "ml.m5.4xlarge has 16 vCPUs and 64 GiB of memory; this machine gives 2 and 24 GiB."
        );
    }

    #[test]
    fn larger_host_is_not_given_beyond_the_type() {
        let instance = lookup("ml.m5.large").unwrap();
        let fitted = limits_on_this_host(instance, 64, 512 * GIB);
        assert_eq!((fitted.limits.vcpus, fitted.limits.memory_bytes), (2, 8 * GIB));
        assert_eq!(fitted.note, None);
    }

    #[test]
    fn absent_gpu_is_said() {
        let instance = lookup("ml.g4dn.xlarge").unwrap();
        let note = limits_on_this_host(instance, 64, 512 * GIB).note.unwrap();
        assert_eq!(
            note,
            "The 1 x NVIDIA T4 of ml.g4dn.xlarge is not offered here: the workload runs on the CPU."
        );
    }

    #[test]
    fn names_are_unique_and_of_the_ml_kind() {
        let mut seen = HashSet::new();
        for instance in all() {
            assert!(instance.name.starts_with("ml."), "{}", instance.name);
            assert!(seen.insert(instance.name), "{} twice", instance.name);
            assert!(instance.trains || instance.hosts);
        }
    }

    #[test]
    fn a_price_names_its_source_and_none_prints_unknown() {
        let priced = lookup("ml.m5.xlarge").unwrap();
        let price = priced.training_price.as_ref().unwrap();
        assert_eq!(describe_price(Some(price)), "$0.23 per hour in us-east-1");
        assert!((price.usd(1_800.0, 2) - 0.23).abs() < 1e-12);
        assert_eq!(
            describe_price(lookup("ml.p5.48xlarge").unwrap().hosting_price.as_ref()),
            "price unknown"
        );
        for price in all().iter().flat_map(|one| [one.training_price, one.hosting_price]).flatten()
        {
            assert!(price.source.starts_with("https://"));
        }
    }
}
