//! Origins: which pages may embed a publishable key's frame.

/// An origin as a browser sends it: `https://host[:port]`, lower case. Only these characters reach a header.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let (host, port) = rest.split_once(':').unwrap_or((rest, "443"));
    let host_fits = (1..=253).contains(&host.len())
        && host
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    matches!(scheme, "http" | "https") && host_fits && port.parse::<u16>().is_ok()
}

/// The origin that a URL without a path is, such as `https://payments.example/`.
///
/// # Errors
/// What it should look like.
pub fn of_url(url: &str) -> Result<String, String> {
    let origin = url.strip_suffix('/').unwrap_or(url);
    if is_origin(origin) {
        Ok(origin.to_owned())
    } else {
        Err("an origin in lower case, such as https://payments.example".to_owned())
    }
}

/// What an operator may register: an origin, or one with `:*` for any port (for development).
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    is_origin(text)
        || text
            .strip_suffix(":*")
            .is_some_and(|start| is_origin(start) && start.matches(':').count() == 1)
}

/// Whether a registered pattern covers the origin.
#[must_use]
pub fn allowed(patterns: &[String], origin: &str) -> bool {
    let without_port = || {
        let (scheme, rest) = origin.split_once("://").unwrap_or(("", origin));
        format!("{scheme}://{}:*", rest.split(':').next().unwrap_or(rest))
    };
    is_origin(origin)
        && patterns
            .iter()
            .any(|pattern| pattern == origin || *pattern == without_port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_matched_whole() {
        let patterns = [
            "https://shop.example".to_owned(),
            "http://localhost:*".to_owned(),
        ];
        for origin in [
            "https://shop.example",
            "http://localhost:3000",
            "http://localhost",
        ] {
            assert!(allowed(&patterns, origin), "{origin}");
        }
        for origin in [
            "http://shop.example",
            "https://shop.example.evil.example",
            "https://evil.example",
            "https://shop.example:8443",
            "https://localhost:3000",
            "http://localhost.evil.example:3000",
            "null",
            "",
            "http://localhost:3000; script-src *",
            "http://localhost:99999",
            "https://Shop.example",
        ] {
            assert!(!allowed(&patterns, origin), "{origin}");
        }
    }

    #[test]
    fn a_url_is_its_origin_or_refused() {
        let origin = Ok("https://payments.example".to_owned());
        assert_eq!(of_url("https://payments.example/"), origin);
        assert_eq!(of_url("https://payments.example"), origin);
        for bad in [
            "payments.example",
            "https://payments.example/v1",
            "https://a/?x",
            "",
        ] {
            assert!(of_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns() {
        for good in [
            "https://shop.example",
            "http://localhost:*",
            "http://127.0.0.1:4000",
        ] {
            assert!(is_pattern(good), "{good}");
        }
        for bad in [
            "*",
            "https://*",
            "https://*.example",
            "shop.example",
            "https://shop.example/",
            "http://a:1:*",
        ] {
            assert!(!is_pattern(bad), "{bad}");
        }
    }
}
