//! The root file system of a sandbox: planned by the supervisor, built by the first stage,
//! entered by the init.
//!
//! It is a small tmpfs that holds read-only binds of the system, a few written files, and what the
//! caller binds. It must never hold the data directory, the host's /etc as a whole, or /sys.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, mount_remount, unmount,
};
use serde::{Deserialize, Serialize};

use super::report::{At, StageFailure};
use super::spec::{Access, HostEntry, INSIDE_ID, OWN_PROGRAM, SandboxSpec};

/// Mount points, a few short files and empty directories.
const ROOT_BYTES: u64 = 16 << 20;

/// Files in one tmpfs; a run that needs more has its own disk directories.
const TMPFS_FILES_MAX: u64 = 1 << 18;

/// Sockets that outbound relays lead to; closed to the workload where it has another uid.
pub(super) const RELAY_DIR: &str = "/run/kennel";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan(Vec<Item>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Item {
    Directory {
        inside: PathBuf,
        mode: u32,
    },
    Link {
        inside: PathBuf,
        target: PathBuf,
    },
    File {
        inside: PathBuf,
        content: String,
    },
    Tmpfs {
        inside: PathBuf,
        bytes: u64,
    },
    Bind {
        host: PathBuf,
        inside: PathBuf,
        access: Access,
    },
    /// A device node is useless on a mount without devices.
    Device {
        host: PathBuf,
        inside: PathBuf,
    },
}

/// Plans the root; `own_program` is this binary on the host.
pub(super) fn plan(spec: &SandboxSpec, own_program: &Path) -> Plan {
    let mut items = Vec::new();
    add_system(&mut items);
    add_etc(&mut items, spec);
    add_devices(&mut items, spec);
    for (inside, mode) in
        [("/proc", 0o555), ("/run", 0o755), (RELAY_DIR, 0o700), ("/var", 0o755), ("/opt", 0o755)]
    {
        items.push(Item::Directory { inside: inside.into(), mode });
    }
    items.push(Item::Tmpfs { inside: "/tmp".into(), bytes: spec.limits.tmp_bytes });
    items.push(Item::Link { inside: "/var/tmp".into(), target: "/tmp".into() });
    items.push(Item::Bind {
        host: own_program.to_owned(),
        inside: OWN_PROGRAM.into(),
        access: Access::ReadOnly,
    });
    for (index, relay) in spec.outbound.iter().enumerate() {
        items.push(Item::Bind {
            host: relay.host_socket.clone(),
            inside: relay_socket(index),
            access: Access::Writable,
        });
    }
    for bind in &spec.binds {
        items.push(Item::Bind {
            host: bind.host.clone(),
            inside: bind.inside.clone(),
            access: bind.access,
        });
    }
    Plan(items)
}

pub(super) fn relay_socket(index: usize) -> PathBuf {
    Path::new(RELAY_DIR).join(format!("out-{index}"))
}

/// Programs and libraries; a merged /usr has links where others have directories.
fn add_system(items: &mut Vec<Item>) {
    for name in ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"] {
        let path = PathBuf::from(name);
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_symlink() {
            if let Ok(target) = fs::read_link(&path) {
                items.push(Item::Link { inside: path, target });
            }
        } else if metadata.is_dir() {
            items.push(Item::Bind { host: path.clone(), inside: path, access: Access::ReadOnly });
        }
    }
}

/// What programs need of /etc and nothing that tells of this machine's people or secrets.
const ETC_SHOWN: [&str; 17] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates/extracted",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/os-release",
    "/etc/mime.types",
    "/etc/protocols",
    "/etc/services",
    "/etc/fonts",
];

fn add_etc(items: &mut Vec<Item>, spec: &SandboxSpec) {
    for name in ETC_SHOWN {
        let path = PathBuf::from(name);
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_symlink() {
            if let Ok(target) = fs::read_link(&path) {
                items.push(Item::Link { inside: path, target });
            }
        } else {
            items.push(Item::Bind { host: path.clone(), inside: path, access: Access::ReadOnly });
        }
    }
    let id = INSIDE_ID;
    let files = [
        (
            "/etc/passwd",
            format!(
                "root:x:0:0:root:/:/usr/sbin/nologin\nkennel:x:{id}:{id}:kennel:/tmp:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
            ),
        ),
        ("/etc/group", format!("root:x:0:\nkennel:x:{id}:\nnogroup:x:65534:\n")),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".to_owned()),
        ("/etc/resolv.conf", "# no name server is reached from here\n".to_owned()),
        ("/etc/hostname", format!("{}\n", spec.hostname)),
        ("/etc/hosts", hosts_file(&spec.hosts)),
    ];
    for (inside, content) in files {
        items.push(Item::File { inside: inside.into(), content });
    }
}

fn hosts_file(entries: &[HostEntry]) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    for entry in entries {
        text.push_str(&format!("{} {}\n", entry.address, entry.names.join(" ")));
    }
    text
}

fn add_devices(items: &mut Vec<Item>, spec: &SandboxSpec) {
    items.push(Item::Directory { inside: "/dev".into(), mode: 0o755 });
    for name in ["null", "zero", "full", "random", "urandom"] {
        let path = Path::new("/dev").join(name);
        items.push(Item::Device { host: path.clone(), inside: path });
    }
    items.push(Item::Tmpfs { inside: "/dev/shm".into(), bytes: spec.limits.shm_bytes });
    let links = [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")];
    for (name, rest) in links {
        let target = PathBuf::from(format!("/proc/self/fd{rest}"));
        items.push(Item::Link { inside: Path::new("/dev").join(name), target });
    }
}

/// Builds the planned root over the directory `root`, in a mount namespace of our own.
pub(super) fn build(root: &Path, plan: &Plan) -> Result<(), StageFailure> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .at(|| "make mounts private".to_owned())?;
    mount_tmpfs(root, ROOT_BYTES, 0o755)?;
    for item in &plan.0 {
        place(root, item)?;
    }
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount(root, flags, "").at(|| "make the root read-only".to_owned())
}

fn place(root: &Path, item: &Item) -> Result<(), StageFailure> {
    match item {
        Item::Directory { inside, mode } => {
            let path = target(root, inside, true)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
                .at(|| format!("set the mode of {}", inside.display()))
        }
        Item::Link { inside, target: to } => {
            let path = parent_made(root, inside)?;
            std::os::unix::fs::symlink(to, path).at(|| format!("link {}", inside.display()))
        }
        Item::File { inside, content } => {
            let path = target(root, inside, false)?;
            fs::write(&path, content)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
                .at(|| format!("write {}", inside.display()))
        }
        Item::Tmpfs { inside, bytes } => mount_tmpfs(&target(root, inside, true)?, *bytes, 0o1777),
        Item::Bind { host, inside, access } => {
            let extra = match access {
                Access::ReadOnly => MountFlags::RDONLY | MountFlags::NODEV,
                Access::Writable => MountFlags::NODEV,
            };
            bind(root, host, inside, extra)
        }
        Item::Device { host, inside } => bind(root, host, inside, MountFlags::NOEXEC),
    }
}

fn mount_tmpfs(path: &Path, bytes: u64, mode: u32) -> Result<(), StageFailure> {
    let options = format!("size={bytes},nr_inodes={TMPFS_FILES_MAX},mode={mode:o}");
    CString::new(options)
        .map_err(io::Error::from)
        .and_then(|options| {
            let flags = MountFlags::NOSUID | MountFlags::NODEV;
            mount("tmpfs", path, "tmpfs", flags, options.as_c_str()).map_err(io::Error::from)
        })
        .at(|| format!("mount a tmpfs on {}", path.display()))
}

fn bind(root: &Path, host: &Path, inside: &Path, extra: MountFlags) -> Result<(), StageFailure> {
    let metadata = fs::metadata(host).at(|| format!("look at {}", host.display()))?;
    let path = target(root, inside, metadata.is_dir())?;
    let step = || format!("bind {} to {}", host.display(), inside.display());
    mount_bind_recursive(host, &path).at(step)?;
    // The flags of a bind are taken over by a second call only, and not by the mounts below it.
    let mounts = fs::read_to_string("/proc/self/mountinfo").at(|| "read mountinfo".to_owned())?;
    for (point, kept) in mounts_below(&mounts, &path) {
        let flags = MountFlags::BIND | MountFlags::NOSUID | kept | extra;
        mount_remount(&point, flags, "")
            .at(|| format!("{}: restrict {}", step(), point.display()))?;
    }
    Ok(())
}

/// Makes the place where something is put, and refuses to reach it through a link: an earlier
/// workload may have planted one in a directory that it could write.
fn target(root: &Path, inside: &Path, directory: bool) -> Result<PathBuf, StageFailure> {
    let path = parent_made(root, inside)?;
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => Err(planted_link(inside)),
        Ok(metadata) if metadata.is_dir() == directory => Ok(path),
        Ok(_) => Err(StageFailure {
            step: format!("prepare {}", inside.display()),
            cause: "a file is in the place of a directory, or a directory in that of a file"
                .to_owned(),
            errno: None,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = if directory {
                fs::create_dir(&path)
            } else {
                fs::File::create_new(&path).map(drop)
            };
            made.map(|()| path).at(|| format!("make {}", inside.display()))
        }
        Err(error) => Err(error).at(|| format!("look at {}", inside.display())),
    }
}

fn parent_made(root: &Path, inside: &Path) -> Result<PathBuf, StageFailure> {
    let mut path = root.to_owned();
    let relative = inside.strip_prefix("/").unwrap_or(inside);
    let mut parts = relative.components().peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        if parts.peek().is_none() {
            break;
        }
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => return Err(planted_link(inside)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&path)
                    .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
                    .at(|| format!("make {}", path.display()))?;
            }
            Err(error) => return Err(error).at(|| format!("look at {}", path.display())),
        }
    }
    Ok(path)
}

fn planted_link(inside: &Path) -> StageFailure {
    StageFailure {
        step: format!("prepare {}", inside.display()),
        cause: "a symbolic link is on the way".to_owned(),
        errno: None,
    }
}

/// The mount at `top` and those below, each with the flags that a user namespace may not clear.
fn mounts_below(mountinfo: &str, top: &Path) -> Vec<(PathBuf, MountFlags)> {
    let mut found = Vec::new();
    for line in mountinfo.lines() {
        let mut fields = line.split(' ').skip(4);
        let (Some(point), Some(options)) = (fields.next(), fields.next()) else { continue };
        let point = PathBuf::from(unescape(point));
        if !point.starts_with(top) {
            continue;
        }
        let mut kept = MountFlags::empty();
        for option in options.split(',') {
            kept |= match option {
                "ro" => MountFlags::RDONLY,
                "nodev" => MountFlags::NODEV,
                "noexec" => MountFlags::NOEXEC,
                "noatime" => MountFlags::NOATIME,
                "nodiratime" => MountFlags::NODIRATIME,
                "relatime" => MountFlags::RELATIME,
                _ => MountFlags::empty(),
            };
        }
        found.push((point, kept));
    }
    found
}

/// mountinfo writes blanks and backslashes of a path as three octal digits.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Parts of /proc that tell of, or change, the whole machine.
const PROC_READ_ONLY: [&str; 5] =
    ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"];
const PROC_HIDDEN: [&str; 7] = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/kmsg",
    "/proc/kallsyms",
    "/proc/timer_list",
    "/proc/sched_debug",
];

/// Moves the calling process, whose working directory is the built root, into it, with a /proc of
/// its own PID namespace. The working directory is used because the path to it may lead through
/// directories that only the host's root may pass.
pub(super) fn enter(root_name: &OsStr) -> Result<(), StageFailure> {
    // A mount made before the user namespace is locked in place; a bind of it over itself is not.
    mount_bind_recursive(".", ".").at(|| "bind the root over itself".to_owned())?;
    rustix::process::chdir(Path::new("..").join(root_name))
        .at(|| "enter the new root".to_owned())?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Before the old root goes: the kernel grants a new /proc only beside an unmasked old one.
    mount("proc", "proc", "proc", flags, None::<&std::ffi::CStr>)
        .at(|| "mount /proc".to_owned())?;
    rustix::process::pivot_root(".", ".").at(|| "pivot_root".to_owned())?;
    unmount(".", UnmountFlags::DETACH).at(|| "let go of the old root".to_owned())?;
    rustix::process::chdir("/").at(|| "change to the new root".to_owned())
}

/// Forbids further user namespaces inside, then closes what /proc tells and lets change.
pub(super) fn close_proc() -> Result<(), StageFailure> {
    fs::write("/proc/sys/user/max_user_namespaces", "0")
        .at(|| "forbid nested user namespaces".to_owned())?;
    let flags = MountFlags::BIND
        | MountFlags::RDONLY
        | MountFlags::NOSUID
        | MountFlags::NODEV
        | MountFlags::NOEXEC;
    for path in PROC_READ_ONLY.into_iter().filter(|path| Path::new(path).exists()) {
        mount_bind(path, path)
            .and_then(|()| mount_remount(path, flags, ""))
            .at(|| format!("make {path} read-only"))?;
    }
    for path in PROC_HIDDEN.into_iter().filter(|path| Path::new(path).exists()) {
        mount_bind("/dev/null", path).at(|| format!("hide {path}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_nested_mounts_are_kept() {
        let text = "1 0 8:1 / / rw,relatime - ext4 /dev/a rw\n\
                    2 1 8:1 /x /r/usr ro,nosuid,noexec,noatime shared:3 - ext4 /dev/a rw\n\
                    3 2 8:1 /y /r/usr/with\\040blank rw,nodev - ext4 /dev/a rw\n\
                    4 1 8:1 /z /r/usrlocal rw - ext4 /dev/a rw\n";
        let found = mounts_below(text, Path::new("/r/usr"));
        let flags = MountFlags::RDONLY | MountFlags::NOEXEC | MountFlags::NOATIME;
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], (PathBuf::from("/r/usr"), flags));
        assert_eq!(found[1], (PathBuf::from("/r/usr/with blank"), MountFlags::NODEV));
    }

    #[test]
    fn planted_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("opt")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("opt/ml")).unwrap();
        assert!(target(dir.path(), Path::new("/opt/ml/input"), true).is_err());
        assert!(target(dir.path(), Path::new("/opt/ml"), true).is_err());
        assert!(target(dir.path(), Path::new("/opt/other/deep"), true).is_ok());
    }

    #[test]
    fn hosts_file_names_the_hosts_of_the_job() {
        let entry =
            HostEntry { address: "127.0.0.1".parse().unwrap(), names: vec!["algo-1".to_owned()] };
        assert!(hosts_file(&[entry]).ends_with("127.0.0.1 algo-1\n"));
    }
}
