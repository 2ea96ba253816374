//! What the kernel says of a process: processor time and resident memory.

use anyhow::Context as _;

/// Ticks a second in `/proc/PID/stat` (USER_HZ, which Linux fixes at 100 for every program).
const TICKS: f64 = 100.0;

/// Processor time so far, user and system, seconds.
///
/// # Errors
/// When there is no such process.
pub fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th field after it.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| -> anyhow::Result<f64> {
        Ok(fields.get(at).context("/proc/PID/stat")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

/// Resident memory, megabytes.
///
/// # Errors
/// When there is no such process.
pub fn rss_mb(id: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().next());
    Ok(kb.context("/proc/PID/status")?.parse::<f64>()? / 1024.0)
}
