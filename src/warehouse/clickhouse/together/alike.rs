//! Which requests may share one statement: those that read the same days of the same units' events for nearly the same sums.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::types::Uuid;

use crate::domain::{ExposedBy, Field};
use crate::warehouse::instants::{DAY, Micros};
use crate::warehouse::needs::{Adds, Needs};

/// Requests of one statement, at most.
const REQUESTS: usize = 250;

/// Variants of one statement, at most: their numbers have eleven bits.
const VARIANTS: usize = 2_047;

/// Rows that one statement may answer with, about.
const ROWS: usize = 50_000;

/// Instants that may part one day.
const PARTS: usize = 40;

/// The longest time between the first assignment and the last that the numbers of exposures have room for.
const SPAN: Micros = 30 * 365 * DAY;

/// Exposures of one statement, at most, unless it serves a single request: some 700 bytes each, over all shards.
pub(super) const EXPOSURES: i64 = 1_000_000;

/// What a group of requests would read and hold.
struct Group<'a> {
    members: Vec<usize>,
    experiments: BTreeSet<Uuid>,
    kind: (ExposedBy, &'a str, Micros),
    from: Micros,
    to: Micros,
    longest: Micros,
    since: Micros,
    sums: BTreeSet<Sum<'a>>,
    /// The most sums that a member has.
    largest: usize,
    variants: usize,
    cuts: BTreeMap<i64, BTreeSet<Micros>>,
}

/// A sum whatever its threshold, and which one of its kind it is.
type Sum<'a> = (&'a str, u8, Option<&'a Field>, usize);

/// The places of requests that may go together, group by group; those that must be asked by their own query are in none.
pub(super) fn alike(requests: &[Needs]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..requests.len()).filter(|place| may_join(&requests[*place])).collect();
    // Long ones first: shorter ones lie in them.
    order.sort_by_key(|place| (requests[*place].exposed_from, *place));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for place in order {
        let own = Group::of(place, &requests[place]);
        if own.parts() > PARTS || own.to - own.since > SPAN {
            continue;
        }
        match groups.iter_mut().find_map(|group| group.with(&own).map(|joined| (group, joined))) {
            Some((group, joined)) => *group = joined,
            None => groups.push(own),
        }
    }
    groups.into_iter().map(|group| group.members).collect()
}

/// The same groups, parted so that none holds too many exposures; `sizes` are those of the requests.
pub(super) fn bounded(groups: Vec<Vec<usize>>, sizes: &[i64]) -> Vec<Vec<usize>> {
    let mut bounded: Vec<Vec<usize>> = Vec::new();
    for group in groups {
        let mut held = i64::MAX;
        for place in group {
            held = held.saturating_add(sizes[place]);
            match bounded.last_mut() {
                Some(last) if held <= EXPOSURES => last.push(place),
                _ => {
                    held = sizes[place];
                    bounded.push(vec![place]);
                }
            }
        }
    }
    bounded
}

/// Whether a request can be answered by the common statement at all: its variants must be known beforehand, and nothing is
/// read there of what was before exposure, nor of facts.
fn may_join(needs: &Needs) -> bool {
    !needs.spans.is_empty()
        && needs.before == 0
        && needs.facts.is_empty()
        && (1..=VARIANTS).contains(&needs.variants.len())
        && needs.assigning_since >= 0
}

impl<'a> Group<'a> {
    fn of(place: usize, needs: &'a Needs) -> Self {
        let mut sums: BTreeSet<Sum<'a>> = BTreeSet::new();
        for sum in &needs.sums {
            let (kind, field) = match sum.adds {
                Adds::One => (0, None),
                Adds::Number(field) => (1, Some(field)),
                Adds::OneAbove(field, _) => (2, Some(field)),
            };
            let (event, field) = (needs.events[sum.event].as_str(), field.map(|field| &needs.fields[field]));
            let nth = sums.iter().filter(|known| (known.0, known.1, known.2) == (event, kind, field)).count();
            sums.insert((event, kind, field, nth));
        }
        let cuts = super::question::cuts(&[needs]);
        Group {
            members: vec![place],
            experiments: BTreeSet::from([needs.experiment_id]),
            kind: (needs.exposed_by, &needs.unit_type, needs.window),
            from: needs.exposed_from,
            to: needs.events_to,
            longest: needs.events_to - needs.exposed_from,
            since: needs.assigning_since,
            largest: sums.len(),
            sums,
            variants: needs.variants.len(),
            cuts: cuts.into_iter().map(|(day, instants)| (day, instants.into_iter().collect())).collect(),
        }
    }

    fn parts(&self) -> usize {
        self.cuts.values().map(BTreeSet::len).max().unwrap_or(0)
    }

    /// Both in one, if that is not too much, and hardly more than the larger of them reads and adds up alone.
    fn with(&self, other: &Group<'a>) -> Option<Self> {
        if self.kind != other.kind || !self.experiments.is_disjoint(&other.experiments) {
            return None;
        }
        let mut cuts = self.cuts.clone();
        for (day, instants) in &other.cuts {
            cuts.entry(*day).or_default().extend(instants);
        }
        let joined = Group {
            members: self.members.iter().chain(&other.members).copied().collect(),
            experiments: self.experiments.union(&other.experiments).copied().collect(),
            kind: self.kind,
            from: self.from.min(other.from),
            to: self.to.max(other.to),
            longest: self.longest.max(other.longest),
            since: self.since.min(other.since),
            sums: self.sums.union(&other.sums).copied().collect(),
            largest: self.largest.max(other.largest),
            variants: self.variants + other.variants,
            cuts,
        };
        let days = usize::try_from((joined.to - joined.from) / DAY + 1).unwrap_or(usize::MAX);
        let strata = days + joined.cuts.values().map(BTreeSet::len).sum::<usize>();
        let fits = joined.members.len() <= REQUESTS
            && joined.variants <= VARIANTS
            && joined.parts() <= PARTS
            && strata.saturating_mul(joined.variants) <= ROWS
            && joined.to - joined.since <= SPAN
            && (joined.to - joined.from) * 4 <= joined.longest * 5
            && joined.sums.len() * 2 <= joined.largest * 3;
        fits.then_some(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CohortRequest, EpochSpan, Experiment, Metric};
    use crate::warehouse::fixture::{above, at, count, experiment, mean, request, sum};

    fn needs<'a>(experiment: &'a Experiment, metrics: &'a [Metric], from: &str, to: &str) -> Needs {
        let request: CohortRequest<'a> = request(experiment, metrics, from, to);
        // Another experiment each time.
        Needs { experiment_id: Uuid::new_v4(), ..Needs::of(&request).unwrap() }
    }

    #[test]
    fn what_reads_the_same_days_for_the_same_sums_goes_together() {
        let experiment = experiment();
        let plain = [mean("a", count("x")), mean("b", sum("x", "cost"))];
        let other = [mean("a", count("x")), mean("c", above("x", "cost", 3.0))];
        let higher = [mean("a", count("x")), mean("c", above("x", "cost", 4.0))];
        let nine = |word: &str| (0..9).map(|n| mean("m", count(&format!("{word} {n}")))).collect::<Vec<Metric>>();
        let (these, those) = (nine("these"), nine("those"));
        let day = ("2026-01-05", "2026-01-05");
        let of = |metrics: &[Metric], (from, to)| needs(&experiment, metrics, from, to);
        // The same sums but for thresholds; one more of three; all other; another day; a long time.
        assert_eq!(alike(&[of(&other, day), of(&higher, day)]), [vec![0, 1]]);
        assert_eq!(alike(&[of(&plain, day), of(&other, day)]), [vec![0, 1]]);
        assert_eq!(alike(&[of(&these, day), of(&those, day)]), [vec![0], vec![1]]);
        assert_eq!(alike(&[of(&plain, day), of(&plain, ("2026-01-09", "2026-01-09"))]), [vec![0], vec![1]]);
        let long = of(&plain, ("2026-01-01", "2026-01-30"));
        assert_eq!(alike(&[of(&plain, day), long]), [vec![1, 0]]);
    }

    #[test]
    fn other_units_and_windows_and_the_same_experiment_again_do_not_join() {
        let experiment = experiment();
        let plain = [mean("a", count("x"))];
        let one = || needs(&experiment, &plain, "2026-01-05", "2026-01-05");
        let households = Needs { unit_type: "household".to_owned(), ..one() };
        let longer = Needs { window: 2 * DAY, ..one() };
        let by_events = Needs { exposed_by: ExposedBy::Event, ..one() };
        let unknown = Needs { variants: Vec::new(), ..one() };
        let again = one();
        let all = [again.clone(), households, longer, by_events, unknown, one(), again];
        assert_eq!(alike(&all), [vec![0, 5], vec![1], vec![2], vec![3], vec![6]]);
    }

    #[test]
    fn no_statement_is_parted_too_often_or_holds_too_much() {
        let experiment = experiment();
        let plain = [mean("a", count("x"))];
        let mut requests = Vec::new();
        for n in 0..100i64 {
            let mut request = request(&experiment, &plain, "2026-01-05", "2026-01-05");
            let cut = at("2026-01-05T02:00:00Z") + jiff::SignedDuration::from_secs(n);
            request.spans[0].to = cut;
            request.spans.push(EpochSpan { epoch: 1, from: cut, to: at("2026-02-01T00:00:00Z") });
            requests.push(Needs { experiment_id: Uuid::new_v4(), ..Needs::of(&request).unwrap() });
        }
        let groups = alike(&requests);
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [40, 40, 20]);
        let sizes = vec![EXPOSURES / 4; 100];
        let parted = bounded(groups, &sizes);
        assert!(parted.iter().all(|group| group.len() <= 4), "{parted:?}");
        assert_eq!(parted.iter().map(Vec::len).sum::<usize>(), 100);
        assert_eq!(bounded(vec![vec![0, 1], vec![2]], &[1, 1, 1]), [vec![0, 1], vec![2]]);
        assert_eq!(bounded(vec![vec![0, 1]], &[EXPOSURES * 2, 1]), [vec![0], vec![1]]);
    }
}
