//! The CPU time of pods, counted without control groups, which an ordinary user may not make.

use std::{fs, io};

use nix::sys::resource::{UsageWho, getrusage};

use crate::node::Node;

/// The clock of `/proc/PID/stat`, on every architecture that Linux programs see.
const TICKS_PER_SECOND: f64 = 100.0;

impl Node {
    /// The seconds of CPU time that all pods of this node have used so far, ended ones too.
    ///
    /// What ended was counted to who waited for it, in the end to this process or, when it had lost its
    /// parent, to the first one of the namespace; what runs is read from `/proc`. A process that the kernel
    /// killed because the first process of its container ended counts no longer: nobody waited for it.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn cpu_seconds(&self) -> io::Result<f64> {
        let ended = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let micros = [ended.user_time(), ended.system_time()].map(|time| {
            // far below 2^52
            time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
        });
        let own = std::process::id();
        let mut ticks = 0;
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let pid: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
            if let Some(pid) = pid.filter(|pid| *pid != own) {
                // one that has ended in the meantime was counted to its parent
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                ticks += ticks_of(&stat).unwrap_or(0);
            }
        }
        Ok(micros.iter().sum::<f64>() + f64::from(ticks) / TICKS_PER_SECOND)
    }
}

/// The time of a process and of its children that it waited for, from `/proc/PID/stat`.
fn ticks_of(stat: &str) -> Option<u32> {
    // the program's name, in parentheses, may hold spaces and parentheses
    let (_, fields) = stat.rsplit_once(')')?;
    // the state is the third field of the file; utime, stime, cutime and cstime are the 14th to 17th
    let times = fields.split_whitespace().skip(11).take(4);
    times.map(|time| time.parse::<u32>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_process_are_read() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 1 0 5000 1000 100";
        assert_eq!(ticks_of(stat), Some(110));
        assert_eq!(ticks_of(""), None);
    }
}
