//! The times in which nothing goes up.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, SpanRelativeTo, ToSpan, Unit};

use super::entries::FreezeEntry;
use super::resolver::Resolver;
use crate::domain::{Freeze, Window};

impl Resolver<'_> {
    pub(super) fn freezes(&mut self, entries: &[FreezeEntry]) -> Vec<Freeze> {
        let mut freezes = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let at = format!("freezes/{index}");
            let window = match window(entry) {
                Ok(window) => window,
                Err((key, message)) => {
                    self.fault(&format!("{at}{key}"), message);
                    continue;
                }
            };
            let timezone = entry.timezone.clone().unwrap_or_else(|| "UTC".to_owned());
            let freeze = Freeze { name: entry.name.clone(), window, timezone };
            match freeze.fault() {
                Some(why) => self.fault(&at, why),
                None => freezes.push(freeze),
            }
        }
        freezes
    }
}

/// The window of an entry, or the key at fault with what is wrong.
fn window(entry: &FreezeEntry) -> Result<Window, (String, String)> {
    let FreezeEntry { from, to, dates, yearly, cron, lasts, .. } = entry;
    match (from, to, dates, yearly, cron, lasts) {
        (Some(from), Some(to), None, None, None, None) => {
            let begin = moment(from, false).map_err(|why| ("/from".to_owned(), why))?;
            let end = moment(to, true).map_err(|why| ("/to".to_owned(), why))?;
            Ok(Window::Between { from: begin, until: end })
        }
        (None, None, Some(dates), None, None, None) => {
            let read = |(index, text): (usize, &String)| {
                text.parse::<Date>().map_err(|_| {
                    (format!("/dates/{index}"), format!("{text:?} is no date; write one such as 2026-05-01"))
                })
            };
            Ok(Window::Dates(dates.iter().enumerate().map(read).collect::<Result<_, _>>()?))
        }
        (None, None, None, Some(days), None, None) => {
            let read = |(index, text): (usize, &String)| {
                let why = || (format!("/yearly/{index}"), format!("{text:?} is no month and day; write 12-25"));
                // A leap year, so that 02-29 may be named.
                let date: Date = format!("2024-{text}").parse().map_err(|_| why())?;
                Ok((date.month(), date.day()))
            };
            Ok(Window::Yearly(days.iter().enumerate().map(read).collect::<Result<_, (String, String)>>()?))
        }
        (None, None, None, None, Some(cron), Some(lasts)) => {
            let why = || ("/lasts".to_owned(), format!("{lasts:?} is no length of time; write 60h, or 2d 12h"));
            let span: Span = lasts.parse().map_err(|_| why())?;
            let minutes = span.total((Unit::Minute, SpanRelativeTo::days_are_24_hours())).map_err(|_| why())?;
            if !(1.0..=525_600.0).contains(&minutes) {
                return Err(("/lasts".to_owned(), format!("{lasts:?} must last a minute at least and a year at most")));
            }
            Ok(Window::Cron { starts: cron.clone(), minutes: minutes as u32 })
        }
        _ => Err((
            String::new(),
            "give `from` and `to`, or `dates`, or `yearly`, or `cron` and `lasts`, and nothing beside".to_owned(),
        )),
    }
}

/// A date or a date with a time; the end of a window that names a day is the end of that day.
fn moment(text: &str, end: bool) -> Result<DateTime, String> {
    if let Ok(date) = text.parse::<Date>()
        && !text.contains(['T', ' '])
    {
        let day = if end { date.checked_add(1.day()).unwrap_or(date) } else { date };
        return Ok(day.to_datetime(Time::midnight()));
    }
    text.parse::<DateTime>()
        .map_err(|_| format!("{text:?} is neither a date nor a time; write 2026-12-20 or 2026-12-20T18:00"))
}
