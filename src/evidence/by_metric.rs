//! Moments by the names of their metrics.
//!
//! The cohorts of a metric set have the same names. They share one list of them, so that a thousand experiments need not
//! keep each name a million times, and whoever wants one metric of many cohorts looks it up once.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cohort::MetricSet;
use crate::stats::Moments;

/// The names of some metrics, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricNames(Arc<Vec<String>>);

impl MetricNames {
    /// Those of a set.
    pub fn of(set: &MetricSet) -> Self {
        // A set has its metrics by name.
        MetricNames(Arc::new(set.metrics.iter().map(|metric| metric.name.clone()).collect()))
    }

    /// The names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &String> {
        self.0.iter()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|known| known.as_str().cmp(name))
    }

    fn are_the_same_list_as(&self, other: &MetricNames) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Moments by metric name, in order of the names. It is written and read as a map.
#[derive(Clone)]
pub struct ByMetric {
    names: MetricNames,
    /// One for each of the names.
    moments: Vec<Moments>,
}

impl ByMetric {
    /// The moments of these metrics, in their order; none if their numbers differ.
    pub fn new(names: &MetricNames, moments: Vec<Moments>) -> Option<Self> {
        (names.0.len() == moments.len()).then(|| ByMetric { names: names.clone(), moments })
    }

    /// The moments of a metric.
    pub fn get(&self, name: &str) -> Option<&Moments> {
        self.names.find(name).ok().map(|place| &self.moments[place])
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Moments> {
        self.names.find(name).ok().map(|place| &mut self.moments[place])
    }

    /// Whether the metric is there.
    pub fn contains_key(&self, name: &str) -> bool {
        self.names.find(name).is_ok()
    }

    /// Puts a metric's moments in, and gives those that were there.
    pub fn insert(&mut self, name: String, moments: Moments) -> Option<Moments> {
        match self.names.find(&name) {
            Ok(place) => Some(std::mem::replace(&mut self.moments[place], moments)),
            Err(place) => {
                Arc::make_mut(&mut self.names.0).insert(place, name);
                self.moments.insert(place, moments);
                None
            }
        }
    }

    /// The names, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &String> {
        self.names.iter()
    }

    /// The moments, in the order of the names.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Moments> {
        self.moments.iter()
    }

    /// Names and moments, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&String, &Moments)> {
        self.names.iter().zip(&self.moments)
    }

    /// How many metrics there are.
    pub fn len(&self) -> usize {
        self.moments.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }
}

/// One metric that is looked up in many cohorts.
pub(super) struct Sought<'a> {
    name: &'a str,
    last: Option<(&'a MetricNames, Option<usize>)>,
}

impl<'a> Sought<'a> {
    pub(super) fn new(name: &'a str) -> Self {
        Sought { name, last: None }
    }

    /// Its moments in a cohort.
    pub(super) fn of(&mut self, moments: &'a ByMetric) -> Option<&'a Moments> {
        let place = match self.last {
            Some((names, place)) if names.are_the_same_list_as(&moments.names) => place,
            _ => {
                let place = moments.names.find(self.name).ok();
                self.last = Some((&moments.names, place));
                place
            }
        };
        place.map(|place| &moments.moments[place])
    }
}

impl Default for ByMetric {
    fn default() -> Self {
        ByMetric { names: MetricNames(Arc::default()), moments: Vec::new() }
    }
}

impl PartialEq for ByMetric {
    fn eq(&self, other: &Self) -> bool {
        (self.names.are_the_same_list_as(&other.names) || self.names == other.names) && self.moments == other.moments
    }
}

impl fmt::Debug for ByMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Index<&str> for ByMetric {
    type Output = Moments;

    fn index(&self, name: &str) -> &Moments {
        self.get(name).unwrap_or_else(|| panic!("there is no metric `{name}`"))
    }
}

impl From<BTreeMap<String, Moments>> for ByMetric {
    fn from(map: BTreeMap<String, Moments>) -> Self {
        let (names, moments) = map.into_iter().unzip();
        ByMetric { names: MetricNames(Arc::new(names)), moments }
    }
}

impl<const N: usize> From<[(String, Moments); N]> for ByMetric {
    fn from(pairs: [(String, Moments); N]) -> Self {
        BTreeMap::from(pairs).into()
    }
}

impl FromIterator<(String, Moments)> for ByMetric {
    fn from_iter<I: IntoIterator<Item = (String, Moments)>>(pairs: I) -> Self {
        pairs.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

impl Serialize for ByMetric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for ByMetric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(|map: BTreeMap<String, Moments>| map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_by_name_to_whoever_reads_it() {
        let map = BTreeMap::from([("b".to_owned(), Moments::of_units(2, 1.0, 0.5)), ("a".to_owned(), Moments::EMPTY)]);
        let mut moments = ByMetric::from(map.clone());
        assert_eq!(serde_json::to_string(&moments).unwrap(), serde_json::to_string(&map).unwrap());
        assert_eq!(serde_json::from_value::<ByMetric>(serde_json::json!(map)).unwrap(), moments);
        assert_eq!(format!("{moments:?}"), format!("{map:?}"));
        let shared = moments.clone();
        assert_eq!(moments.insert("aa".to_owned(), Moments::of_units(1, 0.0, 0.0)), None);
        assert_eq!(moments.keys().collect::<Vec<_>>(), ["a", "aa", "b"]);
        assert_eq!(moments["b"], map["b"]);
        assert_eq!(moments.insert("b".to_owned(), Moments::EMPTY), Some(map["b"]));
        assert_eq!(shared, ByMetric::from(map), "whoever shared its names keeps them");
        assert!(moments.get("c").is_none() && !shared.contains_key("aa"));
    }

    #[test]
    fn a_metric_is_found_in_cohorts_of_different_sets() {
        let one = ByMetric::from([("m".to_owned(), Moments::of_units(1, 1.0, 0.0))]);
        let other =
            ByMetric::from([("k".to_owned(), Moments::EMPTY), ("m".to_owned(), Moments::of_units(2, 1.0, 0.0))]);
        let without = ByMetric::from([("k".to_owned(), Moments::EMPTY)]);
        let mut sought = Sought::new("m");
        let found = [&one, &other, &other, &without, &without, &one].map(|moments| sought.of(moments).map(|m| m.n));
        assert_eq!(found, [Some(1), Some(2), Some(2), None, None, Some(1)]);
    }
}
