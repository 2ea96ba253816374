//! Test or live: read from the publishable key, never chosen by the page.

/// Which cards the key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `pk_test_..`: the published test cards and nothing else.
    Test,
    /// `pk_live_..`: real cards.
    Live,
}

impl Mode {
    /// The mode of a publishable key; none for anything that is not one.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        if key.starts_with("pk_test_") {
            Some(Self::Test)
        } else if key.starts_with("pk_live_") {
            Some(Self::Live)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_decides() {
        assert_eq!(Mode::of_key("pk_test_x"), Some(Mode::Test));
        assert_eq!(Mode::of_key("pk_live_x"), Some(Mode::Live));
        for other in ["", "pk_", "sk_test_x", "PK_TEST_x", " pk_live_x"] {
            assert_eq!(Mode::of_key(other), None, "{other}");
        }
    }
}
