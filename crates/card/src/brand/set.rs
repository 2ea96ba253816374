//! A small set of brands.

use super::Brand;

/// A set of brands, in the order of [`Brand::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Brands(u64);

impl Brands {
    /// Whether `brand` is in it.
    #[must_use]
    pub fn contains(self, brand: Brand) -> bool {
        self.0 & bit(brand) != 0
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl FromIterator<Brand> for Brands {
    fn from_iter<I: IntoIterator<Item = Brand>>(brands: I) -> Self {
        Self(brands.into_iter().fold(0, |set, brand| set | bit(brand)))
    }
}

impl IntoIterator for Brands {
    type Item = Brand;
    type IntoIter = Iter;

    fn into_iter(self) -> Iter {
        Iter(self.0)
    }
}

/// The brands of a set.
#[derive(Debug, Clone)]
pub struct Iter(u64);

impl Iterator for Iter {
    type Item = Brand;

    fn next(&mut self) -> Option<Brand> {
        let brand = Brand::ALL.get(self.0.trailing_zeros() as usize).copied();
        self.0 &= self.0.wrapping_sub(1);
        brand
    }
}

// `Brand::ALL` has no more than 64 brands: it would not compile with more.
const _: () = assert!(Brand::ALL.len() <= 64);

fn bit(brand: Brand) -> u64 {
    1 << brand as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_back_what_went_in() {
        let set: Brands = [Brand::Visa, Brand::CartesBancaires].into_iter().collect();
        assert_eq!(set.len(), 2);
        assert!(set.contains(Brand::Visa) && !set.contains(Brand::Amex));
        let brands: Vec<_> = set.into_iter().collect();
        assert_eq!(brands, [Brand::Visa, Brand::CartesBancaires]);
        assert!(Brands::default().is_empty() && Brands::default().into_iter().next().is_none());
        let all: Brands = Brand::ALL.into_iter().collect();
        assert!(all.into_iter().eq(Brand::ALL));
        assert_eq!(all.and(set), set);
    }
}
