//! What every workload may rely on.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use kennel_exec::{
    Access, Bind, ExitStatus, HostEntry, IdMapping, Isolation, LimiterKind, Program, SandboxError,
    Signal, Trust, WORKLOAD_HOST_ID,
};
use libtest_mimic::Trial;
use tokio::io::AsyncReadExt;

use super::rig::{Finished, Run, chain, is_namespaces, read, trial, until};

pub fn trials(isolation: Isolation) -> Vec<Trial> {
    let mut trials = vec![
        trial("exit_code_and_both_outputs_come_back", isolation, exit_and_output),
        trial("missing_program_is_an_error_of_the_start", isolation, missing_program),
        trial("terminate_reaches_the_workload", isolation, terminate),
        trial("kill_ends_everything_and_says_so", isolation, kill),
        trial("dropped_child_ends_the_sandbox", isolation, dropped),
        trial("frozen_sandbox_goes_on_after_thaw", isolation, freeze),
        trial("environment_is_complete_and_nothing_is_inherited", isolation, environment),
        trial("writable_bind_is_written_and_read_only_bind_is_not", isolation, binds),
        trial("wrong_description_is_refused_before_anything_starts", isolation, wrong_spec),
        trial("usage_is_counted", isolation, usage),
        trial("cpus_are_limited", isolation, cpu_limit),
        trial("nothing_is_left_in_the_run_directory", isolation, leaves_nothing),
    ];
    if is_namespaces(isolation) {
        trials.push(trial("inside_looks_as_described", isolation, inside));
        trials.push(trial("data_directory_may_be_another_users", isolation, foreign_data_dir));
        trials.push(trial("planted_link_does_not_lead_a_bind_astray", isolation, planted_link));
    } else {
        trials.push(trial(
            "foreign_code_is_refused_with_reason_and_remedy",
            isolation,
            foreign_refused,
        ));
        trials.push(trial(
            "foreign_code_runs_when_weaker_isolation_is_allowed_by_name",
            isolation,
            foreign_allowed,
        ));
    }
    trials
}

async fn exit_and_output(isolation: Isolation) {
    let finished = Run::own(isolation, &["print", "hello"]).finish().await;
    assert_eq!(finished.exit.status, ExitStatus::Code(0));
    assert!(!finished.exit.oom);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("hello", "hello as error"));
    let finished = Run::own(isolation, &["exit", "7"]).finish().await;
    assert_eq!(finished.exit.status, ExitStatus::Code(7));
}

async fn missing_program(isolation: Isolation) {
    let mut run = Run::own(isolation, &[]);
    run.spec.program = Program::Path("/usr/bin/no-such-program".to_owned());
    let error = run.start().await.unwrap_err();
    assert!(matches!(&error, SandboxError::Stage { errno: Some(2), .. }), "{}", chain(&error));
    assert!(error.to_string().contains("no-such-program"));
}

async fn terminate(isolation: Isolation) {
    let run = Run::own(isolation, &["sleep"]);
    let mut child = run.start().await.unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).await.unwrap();
    child.signal(Signal::Terminate).await.unwrap();
    assert_eq!(child.wait().await.status, ExitStatus::Signal(15));
    assert_eq!(child.wait().await.status, ExitStatus::Signal(15));
    child.signal(Signal::Terminate).await.unwrap();
}

async fn kill(isolation: Isolation) {
    let run = Run::own(isolation, &["sleep"]);
    let mut child = run.start().await.unwrap();
    child.signal(Signal::Kill).await.unwrap();
    let finished = Finished::of(&mut child).await;
    assert_eq!(finished.exit.status, ExitStatus::Signal(9));
    assert!(!finished.exit.oom);
}

async fn dropped(isolation: Isolation) {
    let run = Run::own(isolation, &["sleep"]);
    let mut child = run.start().await.unwrap();
    let mut stdout = child.stdout.take().unwrap();
    drop(child);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).await.unwrap();
}

async fn freeze(isolation: Isolation) {
    let run = Run::own(isolation, &["sleep"]);
    let mut child = run.start().await.unwrap();
    child.freeze().await.unwrap();
    child.freeze().await.unwrap();
    child.thaw().await.unwrap();
    child.freeze().await.unwrap();
    child.signal(Signal::Terminate).await.unwrap();
    assert_eq!(child.wait().await.status, ExitStatus::Signal(15));
}

async fn environment(isolation: Isolation) {
    let mut run = Run::own(isolation, &[]);
    run.spec.program = Program::Path("/usr/bin/env".to_owned());
    run.spec.args.clear();
    run.spec.env.insert("ONLY".to_owned(), "this".to_owned());
    let finished = run.finish().await;
    let mut lines: Vec<&str> =
        finished.stdout.lines().filter(|line| !line.starts_with("TMPDIR=")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["ONLY=this"]);
}

async fn binds(isolation: Isolation) {
    for (access, expected) in
        [(Access::Writable, ExitStatus::Code(0)), (Access::ReadOnly, ExitStatus::Code(3))]
    {
        // On the lowest rung nothing but the file's mode protects it.
        if access == Access::ReadOnly && isolation == Isolation::Plain {
            continue;
        }
        let mut run = Run::own(isolation, &["write", "BASE", "model.bin", "weights"]);
        let host = run.make_dir("ml");
        run.spec.binds.push(Bind {
            host: host.clone(),
            inside: "/opt/ml".into(),
            access,
            path_env: Some("BASE".to_owned()),
        });
        run.spec.cwd = "/opt/ml".into();
        let finished = run.finish().await;
        assert_eq!(finished.exit.status, expected, "{access:?}: {}", finished.stderr);
        assert_eq!(host.join("model.bin").exists(), access == Access::Writable);
        if access == Access::Writable {
            assert_eq!(read(&host.join("model.bin")), "weights");
        }
    }
}

async fn wrong_spec(isolation: Isolation) {
    let mut run = Run::own(isolation, &["exit", "0"]);
    run.spec.cwd = "../..".into();
    assert!(matches!(run.start().await, Err(SandboxError::Spec(_))));
}

async fn usage(isolation: Isolation) {
    let mut run = Run::own(isolation, &["sleep"]);
    run.spec.limits.memory_bytes = 512 << 20;
    let mut child = run.start().await.unwrap();
    until("the workload uses memory", || child.usage().memory_bytes > 0).await;
    if child.limiter() == LimiterKind::Rlimits {
        println!("limited by {}", child.limiter());
    }
    child.signal(Signal::Kill).await.unwrap();
    let exit = child.wait().await;
    assert!(exit.usage.memory_peak_bytes > 0, "{exit:?}");
    assert_eq!(child.usage(), exit.usage);
}

/// Two busy threads on one CPU take at most the time of one.
async fn cpu_limit(isolation: Isolation) {
    let mut run = Run::own(isolation, &["burn", "2", "400"]);
    run.spec.limits.cpus = 1;
    let finished = run.finish().await;
    assert_eq!(finished.exit.status, ExitStatus::Code(0));
    assert!(finished.stdout.starts_with("1 "), "one CPU is seen: {}", finished.stdout);
    // How little it may be depends on what else the machine does.
    assert!(finished.exit.usage.cpu_secs < 0.7, "{finished:?}");
}

async fn leaves_nothing(isolation: Isolation) {
    let run = Run::own(isolation, &["exit", "0"]);
    run.finish().await;
    let left: Vec<String> = std::fs::read_dir(run.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "tmp")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

async fn inside(isolation: Isolation) {
    let mut run = Run::script(
        isolation,
        "id -u; id -g; hostname; cat /etc/hosts; ls /; pwd; ls /sys 2>&1; echo x > /tmp/x && cat /tmp/x; \
         echo y > /dev/shm/y && cat /dev/shm/y; head -c 4 /dev/zero | wc -c; grep -c . /proc/net/dev; \
         grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; ls -d /opt/ml",
    );
    run.spec.hostname = "algo-1".to_owned();
    run.spec.hosts.push(HostEntry {
        address: "127.0.0.1".parse().unwrap(),
        names: vec!["algo-1".to_owned()],
    });
    run.spec.binds.push(Bind {
        host: run.make_dir("ml"),
        inside: "/opt/ml".into(),
        access: Access::Writable,
        path_env: None,
    });
    run.spec.cwd = "/opt/ml".into();
    let finished = run.finish().await;
    assert_eq!(finished.exit.status, ExitStatus::Code(0), "{finished:?}");
    let text = &finished.stdout;
    assert!(text.starts_with("1000\n1000\nalgo-1\n127.0.0.1 localhost\n"), "{text}");
    assert!(text.contains("\n127.0.0.1 algo-1\n"), "{text}");
    assert!(text.contains("/opt/ml\n") && text.contains("cannot access '/sys'"), "{text}");
    assert!(text.contains("\nx\ny\n4\n3\n"), "lo is the only interface: {text}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(text.contains(&format!("{set}:\t0000000000000000")), "{text}");
    }
    assert!(text.contains("NoNewPrivs:\t1") && text.contains("Seccomp:\t2"), "{text}");
    for absent in ["root\n", "home\n", "work\n", "boot\n"] {
        assert!(!text.contains(&format!("\n{absent}")), "{absent} is visible: {text}");
    }
}

/// A root server whose data lies where only some user may pass.
async fn foreign_data_dir(isolation: Isolation) {
    if isolation != (Isolation::Namespaces { ids: IdMapping::Pair }) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let run_dir = home.path().join("run");
    let ml = run_dir.join("ml");
    std::fs::create_dir_all(&ml).unwrap();
    for path in [run_dir.as_path(), home.path()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let somebody = Some(12_345);
    std::os::unix::fs::chown(home.path(), somebody, somebody).unwrap();
    let mut run =
        Run::script(isolation, "echo weights > /opt/ml/model && stat -c %u:%a /opt/ml/model");
    run.spec.run_dir = run_dir;
    run.spec.binds.push(Bind {
        host: ml.clone(),
        inside: "/opt/ml".into(),
        access: Access::Writable,
        path_env: None,
    });
    let finished = run.finish().await;
    assert_eq!(finished.stdout, "1000:644\n", "{finished:?}");
    assert_eq!(std::fs::metadata(ml.join("model")).unwrap().uid(), WORKLOAD_HOST_ID);
}

async fn planted_link(isolation: Isolation) {
    let mut run = Run::script(isolation, "true");
    let outer = run.make_dir("ml");
    std::os::unix::fs::symlink("/etc", outer.join("input")).unwrap();
    let inner = run.make_dir("input");
    for (host, inside) in [(outer, "/opt/ml"), (inner, "/opt/ml/input")] {
        run.spec.binds.push(Bind {
            host,
            inside: inside.into(),
            access: Access::Writable,
            path_env: None,
        });
    }
    let error = run.start().await.unwrap_err();
    assert!(error.to_string().contains("a symbolic link is on the way"), "{}", chain(&error));
}

async fn foreign_refused(isolation: Isolation) {
    let error = Run::script(isolation, "true").start().await.unwrap_err();
    let SandboxError::Refused(refusal) = error else { panic!("{error}") };
    assert!(
        refusal.reason.contains("namespaces") && refusal.remedy.contains("allow_weaker_isolation")
    );
}

async fn foreign_allowed(isolation: Isolation) {
    let mut run = Run::script(isolation, "exit 5");
    run.spec.trust = Trust::Foreign;
    run.spec.allow_weaker_isolation = true;
    assert_eq!(run.finish().await.exit.status, ExitStatus::Code(5));
}
