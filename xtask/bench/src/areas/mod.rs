//! What is measured, one file an area. A new area is a file here, a line in [`AREAS`] and in [`measure`], and the packages
//! that it runs in `xtask/src/bench.rs`. Whatever it measures goes into the one table and the one `bench.json`.

mod frame;
mod payments;
mod vault;

use anyhow::bail;

use crate::bench::Bench;

/// The areas, in the order of the table.
pub const AREAS: [&str; 3] = ["vault", "payments", "frame"];

/// Measures an area.
///
/// # Errors
/// What failed; a figure that cannot be measured is a failure.
pub async fn measure(area: &str, bench: &mut Bench) -> anyhow::Result<()> {
    match area {
        "vault" => vault::measure(bench).await,
        "frame" => frame::measure(bench).await,
        "payments" => payments::measure(bench).await,
        _ => bail!("there is no area {area}; there are {}", AREAS.join(", ")),
    }
}
