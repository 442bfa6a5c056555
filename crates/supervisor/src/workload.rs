//! The workload's process: what its sandbox is made of, how it is stopped, and what its end means.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_exec::run_dir::Host;
use kennel_exec::{
    Access, Bind, Child, Exit, ExitStatus, HostEntry, Inbound, Limits, Outbound, Program, Sandbox,
    SandboxSpec, Signal, Trust,
};
use kennel_wire::run::{self, RunSpec};
use tokio::task::JoinSet;

use crate::Native;
use crate::error::Failure;
use crate::log::LogWriter;

/// The contract's directory, as the workload sees it.
const BASE_INSIDE: &str = "/opt/ml";

/// The same directory below the run's own.
pub(crate) const BASE: &str = "ml";

/// Where the inference engine's library appears.
const LIBRARY_INSIDE: &str = "/opt/kennel/lib";

/// Names the library, or is `off`.
const ENGINE_VARIABLE: &str = "KENNEL_ONNXRUNTIME";

/// The one variable of ours that is the user's to set.
const ALLOW_PRIVATE_URLS: &str = "KENNEL_ALLOW_PRIVATE_URLS";

/// Half of the memory each at the most: both count as memory of the workload.
const MEMORY_FILE_SYSTEM_DIVISOR: u64 = 2;

/// A workload to start.
pub(crate) struct Plan<'a> {
    pub run_dir: &'a Path,
    pub spec: &'a RunSpec,
    pub host: &'a Host,
    pub native: &'a Native,
    /// `train` or `serve`.
    pub verb: &'a str,
    /// What the contract adds to the user's environment.
    pub env: BTreeMap<String, String>,
    pub inbound: Vec<Inbound>,
    pub outbound: Vec<Outbound>,
    /// Beside `/opt/ml`.
    pub binds: Vec<Bind>,
}

/// A workload that was started, its output on the way to the log.
pub(crate) struct Workload {
    child: Child,
    pipes: JoinSet<()>,
}

impl Workload {
    pub async fn start(plan: Plan<'_>, log: &LogWriter) -> Result<Self, Failure> {
        let (environment, left_out) = user_env(&plan.spec.environment, plan.spec.network_isolation);
        if !left_out.is_empty() {
            let names = left_out.join(", ");
            log.say(format!("kennel: left out of the environment, where it has no place: {names}"))
                .await;
        }
        let spec = sandbox_spec(plan, environment);
        let mut child = Sandbox::start(spec).await.map_err(|error| {
            Failure::Internal(format!("the workload could not be started: {}", chain(&error)))
        })?;
        let mut pipes = JoinSet::new();
        if let Some(pipe) = child.stdout.take() {
            pipes.spawn(log.clone().take(pipe));
        }
        if let Some(pipe) = child.stderr.take() {
            pipes.spawn(log.clone().take(pipe));
        }
        Ok(Self { child, pipes })
    }

    /// Waits for the end of every process and of the output they wrote.
    pub async fn wait(&mut self) -> Exit {
        let exit = self.child.wait().await;
        while self.pipes.join_next().await.is_some() {}
        exit
    }

    /// SIGTERM, and SIGKILL when the grace is over.
    pub async fn stop(&mut self, grace: Duration) -> Exit {
        if let Err(error) = self.child.signal(Signal::Terminate).await {
            tracing::warn!(error = %chain(&error), "the workload could not be told to end");
        }
        if let Ok(exit) = tokio::time::timeout(grace, self.child.wait()).await {
            while self.pipes.join_next().await.is_some() {}
            return exit;
        }
        self.kill().await
    }

    pub async fn kill(&mut self) -> Exit {
        if let Err(error) = self.child.signal(Signal::Kill).await {
            tracing::warn!(error = %chain(&error), "the workload could not be killed");
        }
        self.wait().await
    }

    /// What limits it, for people.
    pub fn limiter(&self) -> String {
        self.child.limiter().to_string()
    }
}

fn sandbox_spec(plan: Plan<'_>, environment: BTreeMap<String, String>) -> SandboxSpec {
    let Plan { run_dir, spec, host, native, verb, env, inbound, outbound, binds } = plan;
    let mut sandbox = SandboxSpec::new(run_dir.to_owned(), host.isolation, Program::Own);
    sandbox.trust = trust(&spec.program);
    sandbox.allow_weaker_isolation = host.allow_weaker_isolation;
    sandbox.args = vec!["image-classification".to_owned(), verb.to_owned()];
    sandbox.env = environment;
    sandbox.env.extend(base_env(spec));
    sandbox.env.extend(env);
    sandbox.cwd = PathBuf::from(BASE_INSIDE);
    sandbox.hostname.clone_from(&spec.current_host);
    sandbox.hosts = vec![HostEntry {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        names: vec![spec.current_host.clone()],
    }];
    sandbox.binds = vec![Bind {
        host: run_dir.join(BASE),
        inside: PathBuf::from(BASE_INSIDE),
        access: Access::Writable,
        path_env: Some("SAGEMAKER_BASE_DIR".to_owned()),
    }];
    sandbox.binds.extend(binds);
    match (native.engine_library)().filter(|library| library.is_file()) {
        Some(library) => sandbox.binds.push(Bind {
            inside: Path::new(LIBRARY_INSIDE).join("libonnxruntime.so"),
            host: library,
            access: Access::ReadOnly,
            path_env: Some(ENGINE_VARIABLE.to_owned()),
        }),
        // Said again inside: the person who started the server chose the portable engine.
        None if std::env::var_os(ENGINE_VARIABLE).is_some_and(|value| value == "off") => {
            sandbox.env.insert(ENGINE_VARIABLE.to_owned(), "off".to_owned());
        }
        None => {}
    }
    sandbox.inbound = inbound;
    sandbox.outbound = outbound;
    sandbox.limits = limits(&spec.limits);
    sandbox
}

/// What the user's environment may say to our own program, and the names it may not. The dynamic
/// linker's variables would make it run other people's code, which it is not confined for on every
/// host; ours name its library and its only way out.
fn user_env(
    environment: &BTreeMap<String, String>,
    network_isolation: bool,
) -> (BTreeMap<String, String>, Vec<&str>) {
    let passes = |name: &str| match name {
        // Without a network there is no address to allow.
        ALLOW_PRIVATE_URLS => !network_isolation,
        "GLIBC_TUNABLES" => false,
        _ => !name.starts_with("LD_") && !name.starts_with("KENNEL_"),
    };
    let mut kept = BTreeMap::new();
    let mut left_out = Vec::new();
    for (name, value) in environment {
        if passes(name) {
            kept.insert(name.clone(), value.clone());
        } else {
            left_out.push(name.as_str());
        }
    }
    (kept, left_out)
}

fn trust(program: &run::Program) -> Trust {
    match program {
        run::Program::ImageClassification => Trust::OwnCode,
    }
}

fn limits(granted: &run::Limits) -> Limits {
    let shared = granted.memory_bytes / MEMORY_FILE_SYSTEM_DIVISOR;
    Limits {
        cpus: granted.vcpus.max(1),
        memory_bytes: granted.memory_bytes,
        pids: granted.processes,
        tmp_bytes: shared,
        shm_bytes: shared,
        ..Limits::default()
    }
}

fn base_env(spec: &RunSpec) -> BTreeMap<String, String> {
    let hosts = serde_json::to_string(&spec.hosts).unwrap_or_default();
    let pairs = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", "/tmp".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("AWS_REGION", spec.region.clone()),
        ("AWS_DEFAULT_REGION", spec.region.clone()),
        ("SAGEMAKER_REGION", spec.region.clone()),
        ("SM_CURRENT_HOST", spec.current_host.clone()),
        ("SM_CURRENT_INSTANCE_TYPE", spec.instance_type.clone()),
        ("SM_HOSTS", hosts),
        ("SM_NUM_CPUS", spec.limits.vcpus.max(1).to_string()),
        ("SM_NUM_GPUS", "0".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the end of a workload means, where it was not asked to end. `failure` is what the workload
/// wrote about it.
pub(crate) fn judge(exit: &Exit, spec: &RunSpec, failure: Option<&str>) -> Result<(), Failure> {
    let (what, code) = match &exit.status {
        ExitStatus::Code(0) => return Ok(()),
        ExitStatus::Lost(why) => {
            return Err(Failure::Internal(format!("the sandbox failed: {why}")));
        }
        ExitStatus::Code(code) => ("the program ended with an error".to_owned(), *code),
        ExitStatus::Signal(signal) => {
            (format!("the program was killed by signal {signal}"), signal.saturating_add(128))
        }
    };
    let what = if exit.oom {
        let gibibytes = spec.limits.memory_bytes as f64 / f64::from(1_u32 << 30);
        format!(
            "the program was killed because it used more memory than it has: {gibibytes:.1} GiB as {}",
            spec.instance_type
        )
    } else {
        failure.map_or(what, str::to_owned)
    };
    let code = format!(", exit code: {code}");
    let room = crate::limits::FAILURE_CHARS_MAX - "AlgorithmError: ".len() - code.len();
    let what: String = what.trim().chars().take(room).collect();
    Err(Failure::Algorithm(format!("{what}{code}")))
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_sets_neither_the_linker_nor_our_own_variables() {
        let names = [
            "GLIBC_TUNABLES",
            "KENNEL_ALLOW_PRIVATE_URLS",
            "KENNEL_EGRESS_PROXY",
            "KENNEL_ONNXRUNTIME",
            "LD_AUDIT",
            "LD_PRELOAD",
            "OLD_NAME",
        ];
        let environment = names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect();
        let kept =
            |isolated| -> Vec<String> { user_env(&environment, isolated).0.into_keys().collect() };
        assert_eq!(kept(false), ["KENNEL_ALLOW_PRIVATE_URLS", "OLD_NAME"]);
        assert_eq!(kept(true), ["OLD_NAME"]);
        let (_, left_out) = user_env(&environment, true);
        assert_eq!(left_out, names[..6]);
    }
}
