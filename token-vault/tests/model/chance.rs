//! Repeatable chance: SplitMix64 (Steele, Lea, Flood 2014), one stream per client.

/// A stream.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Stream `number` of a seed.
    pub fn new(seed: u64, number: u64) -> Self {
        Self(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these, later ones more often: clients meet at what is new.
    pub fn recent<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let span = if self.one_in(4) {
            all.len()
        } else {
            all.len().min(8)
        };
        all.get((all.len() - span) + self.below(span)).cloned()
    }
}
