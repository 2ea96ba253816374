//! The operator's table of funding by BIN: credit, debit or prepaid is in no card number, so a key that takes only some can be
//! judged by such a table and by nothing else. A BIN that is not in it passes.
//!
//! The file has a line for each range, `from,to,funding`, of 6 or 8 digits: `42424200,42424299,credit`. Lines that begin
//! with `#` are left out. Eight digits are looked at where the number has 16 and more, else six (PCI DSS 3.4.1).

use std::path::Path;

use anyhow::{Context as _, ensure};
use vault_api::tokens::Funding;

/// The longest prefix.
const DIGITS: usize = 8;

/// The table; empty where the operator gave none.
#[derive(Default)]
pub struct FundingTable(Vec<(u32, u32, Funding)>);

impl FundingTable {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, for the operator.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file);
        Self::parse(&text.with_context(|| format!("reading {}", file.display()))?)
            .with_context(|| format!("in {}", file.display()))
    }

    /// Reads the lines.
    ///
    /// # Errors
    /// What is wrong with them, for the operator.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut table = vec![];
        for (at, line) in text.lines().enumerate() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                let range = range(line)
                    .with_context(|| format!("line {}: write 42424200,42424299,credit", at + 1))?;
                table.push(range);
            }
        }
        table.sort_unstable_by_key(|(from, ..)| *from);
        let overlap = table.windows(2).find(|pair| pair[1].0 <= pair[0].1);
        ensure!(
            overlap.is_none(),
            "ranges overlap at {:08}",
            overlap.map_or(0, |pair| pair[1].0)
        );
        Ok(Self(table))
    }

    /// The funding of cards whose number begins so, where the table has it.
    #[must_use]
    pub fn of(&self, bin: &str) -> Option<Funding> {
        let bin = widen(bin, '0')?;
        let after = self.0.partition_point(|(from, ..)| *from <= bin);
        let (_, to, funding) = self.0.get(after.checked_sub(1)?)?;
        (bin <= *to).then_some(*funding)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn range(line: &str) -> Option<(u32, u32, Funding)> {
    let mut parts = line.split(',').map(str::trim);
    let (from, to) = (parts.next()?, parts.next()?);
    let funding = match parts.next()? {
        "credit" => Funding::Credit,
        "debit" => Funding::Debit,
        "prepaid" => Funding::Prepaid,
        _ => return None,
    };
    let is_range = from.len() == to.len() && matches!(from.len(), 6 | 8) && from <= to;
    let rest = parts.next();
    Some((widen(from, '0')?, widen(to, '9')?, funding)).filter(|_| is_range && rest.is_none())
}

// A prefix as the first or the last of eight digits.
fn widen(prefix: &str, fill: char) -> Option<u32> {
    let missing = DIGITS.checked_sub(prefix.len())?;
    let is_digits = prefix.bytes().all(|b| b.is_ascii_digit());
    let text: String = prefix
        .chars()
        .chain(std::iter::repeat_n(fill, missing))
        .collect();
    text.parse().ok().filter(|_| is_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_is_found_in_its_range() {
        let table =
            "# ours\n555555,555559,prepaid\n42424200, 42424249, credit\n42424250,42424299,debit\n";
        let table = FundingTable::parse(table).expect("a table");
        for (bin, expected) in [
            ("42424242", Some(Funding::Credit)),
            ("42424250", Some(Funding::Debit)),
            ("42424300", None),
            ("55555999", Some(Funding::Prepaid)),
            ("555555", Some(Funding::Prepaid)),
            ("400000", None),
            ("", None),
        ] {
            assert_eq!(table.of(bin), expected, "{bin}");
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for wrong in [
            "424242,424242",
            "424242,4242421,credit",
            "424243,424242,credit",
            "4242,4243,credit",
            "424242,424242,cash",
            "424242,424242,credit,x",
            "42424x,424249,credit",
            "424242,424242,credit\n42424210,42424219,debit",
        ] {
            assert!(FundingTable::parse(wrong).is_err(), "{wrong}");
        }
    }
}
