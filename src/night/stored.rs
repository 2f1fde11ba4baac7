//! Stored cohorts, loaded ahead: while one experiment is judged, those of the next come out of the control store.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use jiff::civil::Date;
use tokio::sync::mpsc;

use super::Night;
use super::judge::Digests;
use crate::control::{AllProgress, ControlError, ControlStore, ExperimentRecord};
use crate::domain::{ExperimentId, Percentiles};
use crate::evidence::{Cohort, MetricSet};

/// How many answers may wait; each has all cohorts of an experiment.
const WAITING: usize = 4;

/// How many are asked for at once: the store reads one while another is taken apart.
const AT_ONCE: usize = 2;

/// Cohorts with their checksums.
type Loaded = Result<Vec<(Cohort, String)>, ControlError>;

/// The metric sets of one experiment.
type Sets = Arc<[Arc<MetricSet>]>;

/// The stored cohorts of a night's experiments, in the order in which they are judged.
pub(super) struct Stored<'a> {
    control: &'a ControlStore,
    sets: BTreeMap<ExperimentId, Sets>,
    /// The fields whose percentiles are shown, each with the metrics of its edges.
    pub(super) shown: Vec<(Percentiles, MetricSet)>,
    progress: AllProgress,
    /// What is known of the rules that most of them share.
    pub(super) digests: Digests,
    /// What is still to come.
    order: VecDeque<(ExperimentId, Arc<MetricSet>)>,
    coming: mpsc::Receiver<Loaded>,
}

impl Stored<'_> {
    /// The metrics that are measured for an experiment, by window.
    pub(super) fn sets_of(&self, experiment: ExperimentId) -> Sets {
        self.sets.get(&experiment).cloned().unwrap_or_default()
    }

    /// Takes up what can be measured of an experiment since thresholds were frozen for it.
    pub(super) fn renew(&mut self, experiment: ExperimentId, sets: Vec<MetricSet>) {
        self.sets.insert(experiment, sets.into_iter().map(Arc::new).collect());
    }

    /// Through which date an experiment's cohorts were closed when the night began.
    pub(super) fn closed_through(&self, experiment: ExperimentId, set: &MetricSet) -> Option<Date> {
        self.progress.get(&experiment)?.get(&set.digest).copied()
    }

    /// The cohorts of an experiment under one metric set. Those of whoever comes before and did not ask are passed over.
    pub(super) async fn of(&mut self, experiment: ExperimentId, set: &MetricSet) -> Loaded {
        let asked = |(of, wanted): &(ExperimentId, Arc<MetricSet>)| *of == experiment && wanted.digest == set.digest;
        let Some(place) = self.order.iter().position(asked) else {
            return self.control.load_checked_cohorts(experiment, set).await;
        };
        self.order.drain(..=place);
        for _ in 0..place {
            self.coming.recv().await;
        }
        match self.coming.recv().await {
            Some(loaded) => loaded,
            None => self.control.load_checked_cohorts(experiment, set).await,
        }
    }
}

impl<'a> Night<'a> {
    /// Begins to load what is stored of these experiments.
    pub(super) fn load_stored(&self, records: &[ExperimentRecord], progress: AllProgress) -> Stored<'a> {
        // Most experiments are judged by the same policy, so each list of metrics is made up once.
        let mut known: BTreeMap<Vec<&str>, Sets> = BTreeMap::new();
        let make = |record| -> Sets { self.metric_sets(record).into_iter().map(Arc::new).collect() };
        let mut sets = BTreeMap::new();
        let mut order = VecDeque::new();
        for record in records {
            let (experiment, policy) = (record.experiment.id, self.config.policies.of(&record.experiment.name));
            let names = policy.judged_by().map(String::as_str).collect();
            let own = match record.thresholds.is_empty() {
                true => Arc::clone(known.entry(names).or_insert_with(|| make(record))),
                false => make(record),
            };
            let closed = progress.get(&experiment);
            let is_stored = |set: &&Arc<MetricSet>| closed.is_some_and(|closed| closed.contains_key(&set.digest));
            order.extend(own.iter().filter(is_stored).map(|set| (experiment, Arc::clone(set))));
            sets.insert(experiment, own);
        }
        let (sender, coming) = mpsc::channel(WAITING);
        let (control, wanted) = (self.control.clone(), order.clone());
        tokio::spawn(async move {
            let load = |(experiment, set): (ExperimentId, Arc<MetricSet>)| {
                let control = &control;
                async move { control.load_checked_cohorts(experiment, &set).await }
            };
            let mut loaded = pin!(stream::iter(wanted).map(load).buffered(AT_ONCE));
            while let Some(cohorts) = loaded.next().await {
                // Nobody takes it any more once the night is over.
                if sender.send(cohorts).await.is_err() {
                    break;
                }
            }
        });
        Stored {
            control: self.control,
            sets,
            shown: self.shown(),
            progress,
            digests: Digests::default(),
            order,
            coming,
        }
    }
}
