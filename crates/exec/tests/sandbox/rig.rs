//! Makes sandboxes for the tests and reads what their workloads say.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_exec::{
    Child, Exit, Isolation, Probe, Program, Sandbox, SandboxError, SandboxSpec, Trust,
};
use libtest_mimic::{Failed, Trial};
use tokio::io::AsyncReadExt;

/// Long enough for any machine; reached only by a failure.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub fn probe() -> Probe {
    runtime().block_on(Isolation::probe())
}

/// A test whose name carries the rung it ran on.
pub fn trial<F, T>(name: &str, isolation: Isolation, body: F) -> Trial
where
    F: Fn(Isolation) -> T + Send + 'static,
    T: Future<Output = ()> + Send,
{
    let work = move || -> Result<(), Failed> {
        runtime().block_on(async {
            tokio::time::timeout(DEADLINE, body(isolation))
                .await
                .map_err(|_| Failed::from("deadline reached"))
        })
    };
    Trial::test(format!("{}::{name}", rung(isolation)), work)
}

fn rung(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Namespaces { .. } => "namespaces",
        Isolation::Landlock => "landlock",
        Isolation::Plain => "plain",
    }
}

/// A skip says so in one line, or fails where everything is required.
pub fn skip(name: &str, reason: &str) {
    if std::env::var_os("KENNEL_REQUIRE_ALL").is_some_and(|value| value == "1") {
        panic!("{name} would be skipped: {reason}");
    }
    println!("skipped {name}: {reason}");
}

/// A run directory such as a server has: readable by its owner alone.
pub struct Run {
    pub dir: tempfile::TempDir,
    pub spec: SandboxSpec,
}

impl Run {
    /// Runs a mode of this program.
    pub fn own(isolation: Isolation, words: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = SandboxSpec::new(dir.path().to_owned(), isolation, Program::Own);
        spec.args =
            [super::workload::VERB].iter().chain(words).map(|word| (*word).to_owned()).collect();
        Self { dir, spec }
    }

    /// Runs a shell script as other people's code.
    pub fn script(isolation: Isolation, script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut spec =
            SandboxSpec::new(dir.path().to_owned(), isolation, Program::Path("/bin/sh".to_owned()));
        spec.args = vec!["-c".to_owned(), script.to_owned()];
        spec.trust = Trust::Foreign;
        spec.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        Self { dir, spec }
    }

    pub fn make_dir(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub async fn start(&self) -> Result<Child, SandboxError> {
        Sandbox::start(self.spec.clone()).await
    }

    pub async fn finish(&self) -> Finished {
        let mut child = self.start().await.unwrap_or_else(|error| panic!("{}", chain(&error)));
        Finished::of(&mut child).await
    }
}

pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[derive(Debug)]
pub struct Finished {
    pub exit: Exit,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    pub async fn of(child: &mut Child) -> Self {
        let mut stdout = child.stdout.take().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (first, second, exit) =
            tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err), child.wait());
        first.unwrap();
        second.unwrap();
        Self {
            exit,
            stdout: String::from_utf8_lossy(&out).into_owned(),
            stderr: String::from_utf8_lossy(&err).into_owned(),
        }
    }
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

pub fn is_namespaces(isolation: Isolation) -> bool {
    matches!(isolation, Isolation::Namespaces { .. })
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
