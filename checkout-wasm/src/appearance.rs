//! The merchant's look: an allow-listed set of tokens, parsed one by one, never a CSS string.
//!
//! Names follow Stripe's Appearance API. What does not parse is left out: a page can make the form ugly but cannot
//! load, position or hide anything with it.

/// What a token holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `#rgb`, `#rrggbb` or `#rrggbbaa`.
    Color,
    /// Pixels between the two bounds.
    Pixels(u16, u16),
    /// Names of fonts the device has; the frame loads none.
    Fonts,
}

/// A token the page may set.
#[derive(Debug)]
pub struct Token {
    /// Its name in `appearance.variables`.
    pub name: &'static str,
    /// The custom property of `frame.css` that it sets.
    pub property: &'static str,
    kind: Kind,
}

/// All of them. Text stays at 16 px or more: below that iOS zooms into the page on focus.
pub static TOKENS: [Token; 11] = [
    token("colorPrimary", "--primary", Kind::Color),
    token("colorBackground", "--background", Kind::Color),
    token("colorText", "--text", Kind::Color),
    token("colorTextSecondary", "--text-secondary", Kind::Color),
    token("colorTextPlaceholder", "--placeholder", Kind::Color),
    token("colorDanger", "--danger", Kind::Color),
    token("colorBorder", "--border", Kind::Color),
    token("borderRadius", "--radius", Kind::Pixels(0, 32)),
    token("spacingUnit", "--unit", Kind::Pixels(2, 8)),
    token("fontSizeBase", "--font-size", Kind::Pixels(16, 24)),
    token("fontFamily", "--font", Kind::Fonts),
];

const fn token(name: &'static str, property: &'static str, kind: Kind) -> Token {
    Token {
        name,
        property,
        kind,
    }
}

impl Token {
    /// Whether `value` may be set; it is then CSS of the token's kind and nothing more.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        match self.kind {
            Kind::Color => is_color(value),
            Kind::Pixels(min, max) => {
                pixels(value).is_some_and(|pixels| (min..=max).contains(&pixels))
            }
            Kind::Fonts => is_font_list(value),
        }
    }
}

fn is_color(value: &str) -> bool {
    value.strip_prefix('#').is_some_and(|hex| {
        matches!(hex.len(), 3 | 6 | 8) && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

fn pixels(value: &str) -> Option<u16> {
    let digits = value.strip_suffix("px")?;
    let whole = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    whole.then(|| digits.bytes().fold(0, |n, b| n * 10 + u16::from(b - b'0')))
}

fn is_font_list(value: &str) -> bool {
    (1..=200).contains(&value.len())
        && value.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b' ' | b',' | b'-' | b'_' | b'"' | b'\'')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(name: &str, value: &str) -> bool {
        TOKENS
            .iter()
            .find(|token| token.name == name)
            .expect("a token")
            .accepts(value)
    }

    #[test]
    fn what_fits_is_taken() {
        for (name, value) in [
            ("colorPrimary", "#0570de"),
            ("colorText", "#fff"),
            ("colorBorder", "#00000080"),
            ("borderRadius", "0px"),
            ("borderRadius", "12px"),
            ("fontSizeBase", "16px"),
            ("fontFamily", "Inter, 'Helvetica Neue', sans-serif"),
        ] {
            assert!(accepts(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn what_could_do_more_than_look_is_refused() {
        for (name, value) in [
            ("colorPrimary", "red"),
            ("colorPrimary", "url(https://evil.example/x)"),
            ("colorPrimary", "#12345"),
            ("colorPrimary", "var(--x)"),
            ("colorText", "#fff;position:fixed"),
            ("borderRadius", "99px"),
            ("borderRadius", "-1px"),
            ("borderRadius", "1e1px"),
            ("borderRadius", "px"),
            ("fontSizeBase", "12px"),
            ("fontFamily", "x;background:url(//e)"),
            ("fontFamily", "@import"),
            ("fontFamily", ""),
        ] {
            assert!(!accepts(name, value), "{name}: {value}");
        }
    }
}
