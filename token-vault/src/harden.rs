//! What a process does before it touches a secret: no core dumps, no debugger of the same user.

use nix::sys::resource::{Resource, setrlimit};

/// Switches core dumps off. Where the system refuses, that is said and the vault goes on.
pub fn harden() {
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(%error, "this process could not be made undumpable");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_hardened_process_dumps_no_core() {
        super::harden();
        let limits = std::fs::read_to_string("/proc/self/limits").expect("readable");
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let words: Vec<_> = core.expect("a limit").split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"]);
        assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
    }
}
