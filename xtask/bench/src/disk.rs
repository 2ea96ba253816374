//! What one durable write costs on this disk: the floor under every commit, and no program's doing.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Instant;

use crate::figure::Figure;

/// How many writes.
const WRITES: usize = 300;

/// A page of SQLite's log.
const PAGE: [u8; 4096] = [0x5a; 4096];

/// Appends pages to a file in the folder of the measured databases, each synced.
///
/// # Errors
/// The disk's.
pub fn sync() -> anyhow::Result<Figure> {
    let path = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-bench"));
    let mut file = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(&path)?;
    let mut took = Vec::with_capacity(WRITES);
    let synced = (0..WRITES).try_for_each(|_| {
        let started = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
        Ok::<_, std::io::Error>(())
    });
    drop(std::fs::remove_file(&path));
    synced?;
    took.sort_by(f64::total_cmp);
    let seconds: f64 = took.iter().sum::<f64>() / 1e3;
    Ok(Figure {
        name: "disk_sync".to_owned(),
        per_second: Some(WRITES as f64 / seconds),
        p50_ms: took.get(WRITES / 2).copied(),
        p99_ms: took.get(WRITES * 99 / 100).copied(),
        baseline: Some("4 KB appended and synced, one after the other".to_owned()),
        ..Figure::default()
    })
}
