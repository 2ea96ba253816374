//! When a delivery is tried again.

use std::time::{Duration, UNIX_EPOCH};

use http::{Response, StatusCode, header};

const H: i64 = 60 * 60;

/// Seconds to wait after each failed try: 10 tries over 75.6 hours (the table of Standard Webhooks).
const STANDARD: &[i64] = &[
    5,
    5 * 60,
    30 * 60,
    2 * H,
    5 * H,
    10 * H,
    14 * H,
    20 * H,
    24 * H,
];

/// Three tries within seconds, min(1000 * 2^n, 10000) ms apart: for whoever watches while testing.
const SHORT: &[i64] = &[1, 2];

/// An endpoint's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Standard,
    Short,
}

/// Their names, as the API has them.
pub const POLICIES: &[&str] = &["standard", "short"];

impl Policy {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "standard" => Some(Self::Standard),
            "short" => Some(Self::Short),
            _ => None,
        }
    }

    /// What holds where nothing was said.
    pub fn of_mode(livemode: bool) -> Self {
        if livemode {
            Self::Standard
        } else {
            Self::Short
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Short => "short",
        }
    }

    /// Seconds to wait after the try number `tries` (from 0); None: give up. `jitter` (0 to 1) spreads failures over up
    /// to a tenth more.
    pub fn wait(self, tries: i64, jitter: f64) -> Option<i64> {
        let table = match self {
            Self::Standard => STANDARD,
            Self::Short => SHORT,
        };
        let wait = *table.get(usize::try_from(tries).ok()?)?;
        Some(wait + (wait as f64 * jitter / 10.0) as i64)
    }
}

/// A number from 0 to 1; 0 without randomness.
pub fn jitter() -> f64 {
    let mut random = [0u8; 2];
    let _ = getrandom::fill(&mut random);
    f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX)
}

/// How long the endpoint asks us to wait, in seconds, at most a day: heard on 429 and 503 alone, as a number or a date.
pub fn retry_after<B>(response: &Response<B>, now: i64) -> Option<i64> {
    let busy = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if !busy.contains(&response.status()) {
        return None;
    }
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let text = text.trim();
    let seconds = match text.parse::<i64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?;
            let since: Duration = at.duration_since(UNIX_EPOCH).ok()?;
            i64::try_from(since.as_secs()).ok()? - now
        }
    };
    (seconds >= 0).then_some(seconds.min(24 * H))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_tries_over_three_days() {
        assert_eq!(STANDARD.iter().sum::<i64>(), 272_105, "75.6 hours");
        let waits: Vec<_> = (0..).map_while(|n| Policy::Standard.wait(n, 0.0)).collect();
        assert_eq!(waits, STANDARD);
        assert_eq!(Policy::Standard.wait(8, 1.0), Some(26 * H + H * 2 / 5));
        let short: Vec<_> = (0..).map_while(|n| Policy::Short.wait(n, 1.0)).collect();
        assert_eq!(short, [1, 2]);
        assert!((0.0..=1.0).contains(&jitter()));
    }

    #[test]
    fn only_a_busy_endpoint_is_waited_for() {
        let asked = |status: u16, value: &str| {
            let response = Response::builder()
                .status(status)
                .header("retry-after", value);
            retry_after(&response.body(()).expect("a response"), 784_111_777)
        };
        assert_eq!(asked(429, "120"), Some(120));
        assert_eq!(asked(503, " 7 "), Some(7));
        assert_eq!(asked(503, "999999999"), Some(24 * H));
        assert_eq!(asked(503, "Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        for (status, value) in [
            (500, "120"),
            (302, "120"),
            (429, "-1"),
            (429, "soon"),
            (503, "Sun, 06 Nov 1994 08:49:00 GMT"),
        ] {
            assert_eq!(asked(status, value), None, "{status} {value}");
        }
    }
}
