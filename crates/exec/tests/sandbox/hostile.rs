//! Other people's code that means harm. Every attack is tried from inside, and every one fails.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use kennel_exec::{Access, Bind, ExitStatus, IdMapping, Isolation, OWN_PROGRAM, Signal, Trust};
use libtest_mimic::Trial;
use nix::sched::CloneFlags;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::{Pid, Resource, Rlimit};

use super::rig::{Finished, Run, is_namespaces, trial, until};
use super::workload::VERB;

pub fn trials(isolation: Isolation) -> Vec<Trial> {
    let mut trials = vec![trial("memory_hog_is_killed_and_reported", isolation, memory_hog)];
    if isolation == Isolation::Landlock {
        trials.push(trial("landlock_bounds_files_and_ports", isolation, landlock_bounds));
    }
    if is_namespaces(isolation) {
        trials.push(trial("every_attack_from_inside_fails", isolation, attacks));
        trials.push(trial("kill_of_everything_stays_inside", isolation, kill_everything));
        trials.push(trial("fork_bomb_is_bounded_and_ended", isolation, fork_bomb));
        trials.push(trial("memory_of_tmpfs_counts", isolation, tmpfs_hog));
        trials.push(trial("daemon_left_behind_ends_with_the_sandbox", isolation, leftover_daemon));
        trials.push(trial(
            "descriptor_left_open_by_the_server_does_not_get_inside",
            isolation,
            open_descriptor,
        ));
        trials.push(trial("zombies_are_collected", isolation, zombies));
        trials.push(trial(
            "data_written_as_the_workload_stays_in_its_directory",
            isolation,
            cannot_leave_bind,
        ));
    }
    trials
}

type Attack = (&'static str, fn(&Targets) -> Result<(), String>);

/// What only the host has.
struct Targets {
    secret: String,
    port: u16,
    abstract_name: String,
    host_pid: i32,
}

/// Each returns `Ok` when it came through.
const ATTACKS: &[Attack] = &[
    ("umount /proc", |_| tell(rustix::mount::unmount("/proc", UnmountFlags::DETACH))),
    ("umount /opt/ml", |_| tell(rustix::mount::unmount("/opt/ml", UnmountFlags::DETACH))),
    ("mount tmpfs", |_| {
        tell(rustix::mount::mount("x", "/tmp", "tmpfs", MountFlags::empty(), None))
    }),
    ("bind the root", |_| tell(rustix::mount::mount_bind("/", "/tmp"))),
    ("remount writable", |_| tell(rustix::mount::mount_remount("/usr", MountFlags::BIND, ""))),
    ("new mount api", |_| {
        tell(rustix::mount::fsopen("tmpfs", rustix::mount::FsOpenFlags::empty()))
    }),
    ("pivot_root", |_| tell(rustix::process::pivot_root("/tmp", "/tmp"))),
    ("chroot", |_| tell(rustix::process::chroot("/tmp"))),
    ("mknod of a disk", |_| mknod(rustix::fs::FileType::BlockDevice, 254, 0)),
    ("mknod of kernel memory", |_| mknod(rustix::fs::FileType::CharacterDevice, 1, 1)),
    ("open kernel memory", |_| tell(fs::File::open("/dev/mem"))),
    ("ptrace of init", |_| tell(nix::sys::ptrace::attach(nix::unistd::Pid::from_raw(1)))),
    ("seize init", |_| {
        tell(nix::sys::ptrace::seize(
            nix::unistd::Pid::from_raw(1),
            nix::sys::ptrace::Options::empty(),
        ))
    }),
    ("root of init", |_| tell(fs::read_dir("/proc/1/root"))),
    ("directory of init", |_| tell(fs::read_dir("/proc/1/cwd/"))),
    ("descriptors of init", |_| tell(fs::read_dir("/proc/1/fd"))),
    ("environment of init", |_| tell(fs::read("/proc/1/environ"))),
    ("memory of init, read", |_| tell(fs::File::open("/proc/1/mem"))),
    ("memory of init, written", |_| tell(fs::OpenOptions::new().write(true).open("/proc/1/mem"))),
    ("program of init, written", |_| tell(fs::OpenOptions::new().write(true).open("/proc/1/exe"))),
    ("another root in /proc", |targets| any_foreign_root(&targets.secret)),
    ("namespace of init", |_| join_namespace_of_init()),
    ("kill of a host process", |targets| kill(targets.host_pid)),
    ("kill of the supervisor", |_| kill_parent()),
    ("connection to a port of the host", |targets| connect(Ipv4Addr::LOCALHOST, targets.port)),
    ("connection to the gateway", |_| connect(Ipv4Addr::LOCALHOST, 4566)),
    ("connection to a private address", |_| connect(Ipv4Addr::new(10, 0, 0, 1), 80)),
    ("connection to the metadata address", |_| connect(Ipv4Addr::new(169, 254, 169, 254), 80)),
    ("connection to the outside", |_| connect(Ipv4Addr::new(1, 1, 1, 1), 443)),
    ("datagram to the outside", |_| datagram()),
    ("raw socket", |_| raw_socket()),
    ("abstract socket of the host", |targets| abstract_socket(&targets.abstract_name)),
    ("secret of the host", |targets| tell(fs::read(&targets.secret))),
    ("secret through dots", |targets| {
        tell(fs::read(format!("/opt/ml/../../..{}", targets.secret)))
    }),
    ("shadow", |_| tell(fs::read("/etc/shadow"))),
    ("home of root", |_| tell(fs::read_dir("/root"))),
    ("homes", |_| tell(fs::read_dir("/home"))),
    ("host's temporary files", |targets| {
        tell(fs::read_dir(Path::new(&targets.secret).parent().unwrap()))
    }),
    ("sysfs", |_| tell(fs::read_dir("/sys"))),
    ("cgroups", |_| tell(fs::read_dir("/sys/fs/cgroup"))),
    ("write to /usr", |_| tell(fs::write("/usr/planted", "x"))),
    ("write to /etc", |_| tell(fs::write("/etc/planted", "x"))),
    ("write to /", |_| tell(fs::write("/planted", "x"))),
    ("write to the hosts file", |_| tell(fs::OpenOptions::new().append(true).open("/etc/hosts"))),
    ("write to the program", |_| tell(fs::OpenOptions::new().append(true).open(OWN_PROGRAM))),
    ("write to its own image", |_| {
        tell(fs::OpenOptions::new().append(true).open("/proc/self/exe"))
    }),
    ("write to a read-only bind", |_| tell(fs::write("/opt/ml/input/planted", "x"))),
    ("remove from a read-only bind", |_| tell(fs::remove_file("/opt/ml/input/data"))),
    ("sysrq", |_| tell(fs::OpenOptions::new().write(true).open("/proc/sysrq-trigger"))),
    ("core pattern", |_| {
        tell(fs::OpenOptions::new().write(true).open("/proc/sys/kernel/core_pattern"))
    }),
    ("host name by /proc", |_| tell(fs::write("/proc/sys/kernel/hostname", "x"))),
    ("host name", |_| tell(rustix::system::sethostname(b"x"))),
    ("nested user namespaces allowed again", |_| {
        tell(fs::write("/proc/sys/user/max_user_namespaces", "10"))
    }),
    ("user namespace", |_| tell(nix::sched::unshare(CloneFlags::CLONE_NEWUSER))),
    ("user namespace by clone", |_| clone_user_namespace()),
    ("mount namespace", |_| tell(nix::sched::unshare(CloneFlags::CLONE_NEWNS))),
    ("network namespace", |_| tell(nix::sched::unshare(CloneFlags::CLONE_NEWNET))),
    ("become root", |_| tell(rustix::thread::set_thread_uid(rustix::fs::Uid::ROOT))),
    ("become root's group", |_| tell(rustix::thread::set_thread_gid(rustix::fs::Gid::ROOT))),
    ("own groups", |_| tell(rustix::thread::set_thread_groups(&[rustix::fs::Gid::ROOT]))),
    ("setuid program", |_| setuid_program()),
    ("file with capabilities made", |_| {
        tell(fs::write("/opt/ml/x", "x").and_then(|()| {
            rustix::fs::setxattr(
                "/opt/ml/x",
                "security.capability",
                &[1, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0],
                rustix::fs::XattrFlags::empty(),
            )
            .map_err(Into::into)
        }))
    }),
    ("more files", |_| raise_limit(Resource::Nofile)),
    ("core dumps", |_| raise_limit(Resource::Core)),
    ("session keyring", |_| keyring()),
    ("kernel log", |_| tell(fs::File::open("/dev/kmsg")).or_else(|_| nonempty("/proc/kmsg"))),
    ("kernel keys", |_| nonempty("/proc/keys")),
];

/// The hostile program's side.
pub fn attack(words: &[&str]) -> ExitCode {
    match words {
        ["all", secret, port, abstract_name, host_pid] => {
            let targets = Targets {
                secret: (*secret).to_owned(),
                port: port.parse().unwrap(),
                abstract_name: (*abstract_name).to_owned(),
                host_pid: host_pid.parse().unwrap(),
            };
            for (name, attack) in ATTACKS {
                match attack(&targets) {
                    Ok(()) => println!("CAME THROUGH: {name}"),
                    Err(why) => println!("failed: {name}: {why}"),
                }
            }
            kill_init();
            println!("done");
            ExitCode::SUCCESS
        }
        ["euid"] => ExitCode::from(u8::from(rustix::process::geteuid().is_root())),
        ["kill-everything"] => {
            let _ = rustix::process::kill_process_group(Pid::INIT, rustix::process::Signal::KILL);
            kill_init();
            ExitCode::from(42)
        }
        ["memory"] => {
            let mut held = Vec::new();
            loop {
                held.push(vec![1_u8; 8 << 20]);
            }
        }
        ["read", path] => ExitCode::from(u8::from(fs::read(path).is_err())),
        ["connect", port] => {
            ExitCode::from(u8::from(connect(Ipv4Addr::LOCALHOST, port.parse().unwrap()).is_err()))
        }
        other => panic!("unknown attack {other:?}"),
    }
}

fn tell<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

fn mknod(kind: rustix::fs::FileType, major: u32, minor: u32) -> Result<(), String> {
    let path = "/tmp/device";
    let device = rustix::fs::makedev(major, minor);
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    tell(rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, device))?;
    tell(fs::File::open(path))
}

fn any_foreign_root(secret: &str) -> Result<(), String> {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    for pid in pids.filter(|name| name.parse::<i32>().is_ok()) {
        if fs::read(format!("/proc/{pid}/root{secret}")).is_ok() {
            return Ok(());
        }
    }
    Err("none of them holds it".to_owned())
}

fn join_namespace_of_init() -> Result<(), String> {
    let file = fs::File::open("/proc/1/ns/mnt").map_err(|error| error.to_string())?;
    tell(nix::sched::setns(file, CloneFlags::CLONE_NEWNS))
}

fn kill(pid: i32) -> Result<(), String> {
    tell(rustix::process::kill_process(Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL))
}

/// The parent of this process's parent is outside: it has no number here.
fn kill_parent() -> Result<(), String> {
    let status = fs::read_to_string("/proc/1/status").unwrap();
    match status.lines().find_map(|line| line.strip_prefix("PPid:")).map(str::trim) {
        Some("0") => Err("init has no parent here".to_owned()),
        parent => kill(parent.unwrap().parse().unwrap()),
    }
}

/// It may be allowed to send; it must have no effect, which the lines after this one show.
fn kill_init() {
    for signal in [
        rustix::process::Signal::KILL,
        rustix::process::Signal::TERM,
        rustix::process::Signal::STOP,
    ] {
        let _ = rustix::process::kill_process(Pid::INIT, signal);
    }
    std::thread::sleep(Duration::from_millis(50));
}

fn connect(address: Ipv4Addr, port: u16) -> Result<(), String> {
    tell(TcpStream::connect_timeout(&SocketAddr::from((address, port)), Duration::from_secs(2)))
}

fn datagram() -> Result<(), String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(|error| error.to_string())?;
    tell(socket.send_to(b"x", (Ipv4Addr::new(1, 1, 1, 1), 53)))
}

fn raw_socket() -> Result<(), String> {
    use rustix::net::{AddressFamily, SocketType, ipproto, socket};
    tell(socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)))?;
    tell(socket(AddressFamily::PACKET, SocketType::RAW, None))
}

fn abstract_socket(name: &str) -> Result<(), String> {
    tell(UnixStream::connect_addr(&UnixAddr::from_abstract_name(name).unwrap()))
}

fn clone_user_namespace() -> Result<(), String> {
    let status = Command::new("/usr/bin/unshare").args(["--user", "true"]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn setuid_program() -> Result<(), String> {
    let program = "/opt/suid/program";
    if !Path::new(program).exists() {
        return Err("only root can make one".to_owned());
    }
    let status = Command::new(program).args([VERB, "hostile", "euid"]).status().unwrap();
    if status.code() == Some(1) { Ok(()) } else { Err(format!("ran without privilege: {status}")) }
}

fn raise_limit(resource: Resource) -> Result<(), String> {
    let hard = rustix::process::getrlimit(resource).maximum;
    let more = hard.map(|hard| hard + 1);
    tell(rustix::process::setrlimit(resource, Rlimit { current: more, maximum: more }))
}

/// There is no safe wrapper of keyctl; perl is in every base system, and without it there is
/// nothing to try.
fn keyring() -> Result<(), String> {
    let (keyctl, get_id, session) = (libc::SYS_keyctl, 0, -3);
    let script = format!("exit(syscall({keyctl}, {get_id}, {session}, 0) == -1 ? 1 : 0)");
    match Command::new("/usr/bin/perl").args(["-e", &script]).status() {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn nonempty(path: &str) -> Result<(), String> {
    match fs::read(path) {
        Ok(bytes) if bytes.is_empty() => Err("empty".to_owned()),
        other => tell(other),
    }
}

/// A process of the host that has no part in anything, and ends with its test.
struct Bystander(std::process::Child);

impl Bystander {
    fn new() -> Self {
        Self(
            Command::new("sleep")
                .arg("1000")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    fn assert_alive(&mut self) {
        assert!(self.0.try_wait().unwrap().is_none(), "the bystander was killed");
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn attacks(isolation: Isolation) {
    let mut run = Run::own(isolation, &[]);
    run.spec.trust = Trust::Foreign;
    // On the host this is readable to everybody: only the sandbox keeps it.
    let host = tempfile::tempdir().unwrap();
    fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let secret = host.path().join("secret");
    fs::write(&secret, "of the host").unwrap();
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let name = format!("kennel-test-{}", std::process::id());
    let _abstract = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&name).unwrap()).unwrap();
    let mut bystander = Bystander::new();

    let input = run.make_dir("input");
    fs::write(input.join("data"), "input").unwrap();
    let suid = run.make_dir("suid");
    let binds = [
        (run.make_dir("ml"), "/opt/ml", Access::Writable),
        (input.clone(), "/opt/ml/input", Access::ReadOnly),
        (suid.clone(), "/opt/suid", Access::ReadOnly),
    ];
    for (host, inside, access) in binds {
        run.spec.binds.push(Bind { host, inside: inside.into(), access, path_env: None });
    }
    if rustix::process::geteuid().is_root()
        && isolation == (Isolation::Namespaces { ids: IdMapping::Pair })
    {
        let program = suid.join("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    }
    let port_number = port.local_addr().unwrap().port().to_string();
    let words = [
        VERB,
        "hostile",
        "all",
        secret.to_str().unwrap(),
        &port_number,
        &name,
        &bystander.0.id().to_string(),
    ];
    run.spec.args = words.into_iter().map(str::to_owned).collect();

    let finished = run.finish().await;
    let came_through: Vec<&str> = finished
        .stdout
        .lines()
        .filter(|line| !line.starts_with("failed: ") && *line != "done")
        .collect();
    assert!(came_through.is_empty(), "{came_through:#?}\n{}", finished.stdout);
    assert_eq!(finished.stdout.lines().count(), ATTACKS.len() + 1, "{finished:?}");
    assert_eq!(finished.exit.status, ExitStatus::Code(0));
    bystander.assert_alive();
    assert_eq!(fs::read_to_string(input.join("data")).unwrap(), "input");
}

async fn kill_everything(isolation: Isolation) {
    let mut bystander = Bystander::new();
    let mut run = Run::own(isolation, &["hostile", "kill-everything"]);
    run.spec.trust = Trust::Foreign;
    assert_eq!(run.finish().await.exit.status, ExitStatus::Code(42));
    bystander.assert_alive();
}

async fn fork_bomb(isolation: Isolation) {
    let mut run = Run::script(
        isolation,
        "bomb() { bomb | bomb & }; bomb 2>/dev/null; while :; do sleep 1; done",
    );
    run.spec.limits.pids = 64;
    run.spec.limits.memory_bytes = 512 << 20;
    let mut child = run.start().await.unwrap();
    let before = processes().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The host can still start processes, and there are no more of them than allowed.
    assert!(Command::new("true").status().unwrap().success());
    assert!(processes().len() < before + 64 + 200, "the bomb is not contained");
    child.signal(Signal::Kill).await.unwrap();
    let exit = Finished::of(&mut child).await.exit;
    assert!(!exit.status.success(), "{exit:?}");
}

fn processes() -> Vec<String> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.parse::<i32>().is_ok())
        .collect()
}

fn processes_named(marker: &str) -> usize {
    let named = |pid: &String| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(marker))
    };
    processes().iter().filter(|pid| named(pid)).count()
}

async fn memory_hog(isolation: Isolation) {
    let mut run = Run::own(isolation, &["hostile", "memory"]);
    run.spec.limits.memory_bytes = 96 << 20;
    let finished = run.finish().await;
    assert!(finished.exit.oom, "{finished:?}");
    assert_eq!(finished.exit.status, ExitStatus::Signal(9));
    assert!(finished.exit.usage.memory_peak_bytes > 32 << 20, "{finished:?}");
}

async fn tmpfs_hog(isolation: Isolation) {
    let mut run = Run::script(isolation, "exec cat /dev/zero > /dev/shm/file");
    run.spec.limits.memory_bytes = 64 << 20;
    let finished = run.finish().await;
    assert!(finished.exit.oom, "{finished:?}");
    let mut run = Run::script(isolation, "cat /dev/zero > /tmp/file");
    run.spec.limits.tmp_bytes = 4 << 20;
    let finished = run.finish().await;
    assert!(!finished.exit.oom && !finished.exit.status.success(), "{finished:?}");
    assert!(finished.stderr.contains("No space left"), "{finished:?}");
}

async fn leftover_daemon(isolation: Isolation) {
    let marker = format!("86400.{:06}", std::process::id());
    let script = format!(
        "setsid sh -c 'trap \"\" TERM HUP; (sleep {marker} &) ; sleep {marker}' & sleep 0.1; exit 0"
    );
    let finished = Run::script(isolation, &script).finish().await;
    assert_eq!(finished.exit.status, ExitStatus::Code(0));
    assert_eq!(processes_named(&marker), 0);
}

/// As from a shell that started the server with something open.
async fn open_descriptor(isolation: Isolation) {
    let open = fs::File::open("/etc/hostname").unwrap();
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    let finished = Run::script(isolation, "exec ls /proc/self/fd").finish().await;
    drop(open);
    // The three standard ones and the one of ls itself.
    assert_eq!(
        finished.stdout.split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "2", "3"],
        "{finished:?}"
    );
}

async fn zombies(isolation: Isolation) {
    let script = "i=0; while [ $i -lt 50 ]; do (true & exec true) ; i=$((i+1)); done; sleep 0.2; \
                  grep -l 'State:.Z' /proc/[0-9]*/status | wc -l";
    let finished = Run::script(isolation, script).finish().await;
    assert_eq!(finished.stdout.trim(), "0", "{finished:?}");
}

async fn cannot_leave_bind(isolation: Isolation) {
    let mut run = Run::script(
        isolation,
        "ln -s /etc/passwd /opt/ml/link; ln /etc/passwd /opt/ml/hard; exit 0",
    );
    let ml = run.make_dir("ml");
    run.spec.binds.push(Bind {
        host: ml.clone(),
        inside: "/opt/ml".into(),
        access: Access::Writable,
        path_env: None,
    });
    run.finish().await;
    assert!(!ml.join("hard").exists());
    assert!(fs::symlink_metadata(ml.join("link")).unwrap().is_symlink());
}

async fn landlock_bounds(isolation: Isolation) {
    let host = tempfile::tempdir().unwrap();
    let secret = host.path().join("secret");
    fs::write(&secret, "of the host").unwrap();
    let mut run = Run::own(isolation, &["hostile", "read", secret.to_str().unwrap()]);
    assert_eq!(run.finish().await.exit.status, ExitStatus::Code(1));
    run.spec.args = [VERB, "write", "BASE", "file", "x"].map(str::to_owned).to_vec();
    run.spec.env.insert("BASE".to_owned(), host.path().to_str().unwrap().to_owned());
    assert_eq!(run.finish().await.exit.status, ExitStatus::Code(3));
    until("the secret is untouched", || {
        fs::read_to_string(&secret).is_ok_and(|text| text == "of the host")
    })
    .await;
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let number = port.local_addr().unwrap().port().to_string();
    run.spec.args = [VERB, "hostile", "connect", &number].map(str::to_owned).to_vec();
    assert_eq!(
        run.finish().await.exit.status,
        ExitStatus::Code(1),
        "ports are bounded from Linux 6.7 on"
    );
    std::io::stdout().flush().unwrap();
}
