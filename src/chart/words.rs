//! Numbers and dates as pictures and their alternative texts write them.

use jiff::civil::Date;

/// Decimals that tell the numbers of one row apart: one, unless they lie closer together or are very large. The numbers
/// are percentages; ends that are infinite or unknown do not count.
pub(super) fn decimals(percents: &[f64]) -> usize {
    let finite = || percents.iter().copied().filter(|p| p.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    // A single number, or several alike, are told by their own size.
    let span = if high > low { high - low } else { high.abs() };
    match span {
        _ if low > high || span == 0.0 => 1,
        _ if low.abs().max(high.abs()) >= 1000.0 => 0,
        _ if span >= 0.5 => 1,
        _ if span >= 0.05 => 2,
        _ if span >= 0.005 => 3,
        _ => 4,
    }
}

/// A percentage with its sign and without the sign of percent: `+12.4`, `−3.0`, `0.0`, `−1.2e9`, `−∞`.
pub(super) fn signed(percent: f64, decimals: usize) -> String {
    if percent.is_infinite() {
        return if percent > 0.0 { "+∞".into() } else { "−∞".into() };
    }
    if percent.abs() >= 1e6 || (decimals > 5 && percent != 0.0) {
        return format!("{percent:+.1e}").replace('-', "−");
    }
    let text = format!("{percent:+.decimals$}").replace('-', "−");
    // No sign in front of what rounds to nothing.
    let nothing = text.chars().all(|c| matches!(c, '+' | '−' | '0' | '.'));
    if nothing { text.trim_start_matches(['+', '−']).to_owned() } else { text }
}

/// A number of a metric's own unit at four significant digits, without trailing zeros.
pub(super) fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "∞".into() } else { "−∞".into() };
    }
    if value == 0.0 || value.is_nan() {
        return value.abs().to_string();
    }
    if value.abs() >= 1e7 || value.abs() < 1e-5 {
        return format!("{value:.3e}").replace('-', "−");
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.replace('-', "−")
}

/// A number of a metric's own unit with a given number of decimals, for axes.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e6 || decimals > 5 { number(value) } else { format!("{value:.decimals$}").replace('-', "−") }
}

/// A share of units: `25 %`, `12.5 %`, `0.01 %`. Shares are planned in steps of 0.0001, so two decimals are exact.
pub(super) fn share(share: f64) -> String {
    let text = format!("{:.2}", 100.0 * share);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A count: `1,204`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 night`, `2 nights`.
pub(super) fn several(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// An e-value told by its natural logarithm: `153`, or `10^24` where that is long.
pub(super) fn e_value(log_e: f64) -> String {
    let log10 = log_e / std::f64::consts::LN_10;
    match log10 {
        _ if log_e.is_nan() => "unknown".to_owned(),
        _ if log10.is_infinite() => {
            if log_e > 0.0 {
                "∞".to_owned()
            } else {
                "0".to_owned()
            }
        }
        _ if log10 > 9999.0 => "above 10^9999".to_owned(),
        _ if log10 < -9999.0 => "below 10^−9999".to_owned(),
        _ if log10 >= 5.0 => format!("10^{log10:.0}"),
        _ if log10 < -4.0 => format!("10^−{:.0}", -log10),
        _ => number(log_e.exp()),
    }
}

/// `3 Nov 2026`.
pub(super) fn date(date: Date) -> String {
    date.strftime("%-d %b %Y").to_string()
}

/// `3 Nov`, for axes that name the year elsewhere.
pub(super) fn day(date: Date) -> String {
    date.strftime("%-d %b").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_their_sign_and_as_many_decimals_as_they_need() {
        assert_eq!(signed(-12.44, 1), "−12.4");
        assert_eq!(signed(3.0, 1), "+3.0");
        assert_eq!(signed(-0.04, 1), "0.0");
        assert_eq!(signed(1.25e9, 1), "+1.2e9");
        assert_eq!(signed(f64::NEG_INFINITY, 1), "−∞");
        assert_eq!(decimals(&[-12.4, -15.0, -9.9]), 1);
        assert_eq!(decimals(&[0.12, 0.10, 0.14]), 3);
        assert_eq!(decimals(&[0.12, 0.02, 0.22]), 2);
        assert_eq!(decimals(&[1500.0, 900.0, f64::INFINITY]), 0);
        assert_eq!(decimals(&[f64::NAN]), 1);
        assert_eq!(decimals(&[0.0]), 1);
    }

    #[test]
    fn other_numbers_are_short_and_exact_enough() {
        assert_eq!(number(0.009412), "0.009412");
        assert_eq!(number(-1234.5), "−1234");
        assert_eq!(number(0.25), "0.25");
        assert_eq!(number(0.0), "0");
        assert_eq!(number(1e300), "1.000e300");
        assert_eq!(share(0.25), "25 %");
        assert_eq!(share(0.0125), "1.25 %");
        assert_eq!(share(0.0), "0 %");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(e_value(153f64.ln()), "153");
        assert_eq!(e_value(24.0 * std::f64::consts::LN_10), "10^24");
        assert_eq!(e_value(f64::NEG_INFINITY), "0");
    }
}
