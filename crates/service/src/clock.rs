//! Time comes in as an argument: the system's clock, plus an offset that `cargo xtask clock` moves (test mode only).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How stale a read offset may be.
const REREAD: Duration = Duration::from_millis(50);

/// A clock; cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock(Option<Arc<Offset>>);

#[derive(Debug)]
struct Offset {
    file: PathBuf,
    read: Mutex<(Option<Instant>, i64)>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// The system's clock plus the seconds that stand in `file` (a missing file is 0). Test mode only.
    #[must_use]
    pub fn with_offset_file(file: &Path) -> Self {
        Self(Some(Arc::new(Offset {
            file: file.to_owned(),
            read: Mutex::new((None, 0)),
        })))
    }

    /// With the offset file when one is named.
    #[must_use]
    pub fn from_option(file: Option<&Path>) -> Self {
        file.map_or_else(Self::system, Self::with_offset_file)
    }

    /// Unix seconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        since.as_millis() as i64 + self.0.as_ref().map_or(0, |offset| offset.seconds() * 1000)
    }
}

impl Offset {
    fn seconds(&self) -> i64 {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0.is_none_or(|at| at.elapsed() > REREAD) {
            let text = std::fs::read_to_string(&self.file).unwrap_or_default();
            *read = (Some(Instant::now()), text.trim().parse().unwrap_or(0));
        }
        read.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_re_read() {
        let file = std::env::temp_dir().join(format!("cardseal-clock-{}", std::process::id()));
        std::fs::write(&file, "3600\n").expect("written");
        let clock = Clock::with_offset_file(&file);
        let ahead = clock.now() - Clock::system().now();
        assert!((3599..=3601).contains(&ahead), "{ahead}");
        std::fs::write(&file, "0").expect("written");
        std::thread::sleep(REREAD * 2);
        assert!((clock.now() - Clock::system().now()).abs() <= 1);
        std::fs::remove_file(&file).expect("removed");
    }
}
