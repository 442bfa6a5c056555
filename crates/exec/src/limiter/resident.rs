//! Memory and processor time of processes by what /proc tells, where no cgroup counts them.

use std::collections::VecDeque;
use std::fs;

/// Deeper or broader trees than this are counted in part; the bound on processes is lower.
const PROCESSES_MAX: usize = 65_536;

/// Memory of every process of this PID namespace but the first, which is the sandbox's own.
pub(crate) fn of_namespace() -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let processes: u64 = pids.filter(|pid| *pid != 1).map(of_process).sum();
    // Files of /tmp and /dev/shm are memory too, mapped or not.
    processes + ["/tmp", "/dev/shm"].into_iter().map(in_tmpfs).sum::<u64>()
}

/// Anonymous memory; pages of files can be taken back at any time and do not count.
pub(crate) fn of_process(pid: i32) -> u64 {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes =
        line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn in_tmpfs(path: &str) -> u64 {
    let Ok(stat) = rustix::fs::statvfs(path) else { return 0 };
    stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize)
}

/// A process and all that descend from it.
pub(crate) fn tree(root: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut open = VecDeque::from([root]);
    while let Some(pid) = open.pop_front() {
        found.push(pid);
        if found.len() >= PROCESSES_MAX {
            break;
        }
        open.extend(children(pid));
    }
    found
}

/// The children of every thread of a process.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|word| word.parse::<i32>().ok()));
    }
    found
}

/// Processor time of a process and of its children that were waited for.
pub(crate) fn cpu_secs(pid: i32) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // The name in parentheses may hold anything, blanks and parentheses too.
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    let ticks: u64 =
        rest.split_whitespace().skip(11).take(4).filter_map(|word| word.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_is_in_its_own_tree() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(of_process(own) > 0);
        assert!(tree(own).contains(&own));
        assert!(cpu_secs(own) >= 0.0);
    }
}
