//! Closed cohorts and complete day partitions: written once, read every night.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::packed::{packed, unpacked};
use super::rows::{Reader, text_of};
use super::statement::{self, Statement};
use crate::domain::ExperimentId;
use crate::evidence::{Cohort, Day, MetricNames, MetricSet};

/// Through which date each metric set's cohorts are closed, by the set's digest.
pub type Progress = BTreeMap<String, Date>;

/// The same of all experiments.
pub type AllProgress = BTreeMap<ExperimentId, Progress>;

impl ControlStore {
    /// The day partitions that were found complete from `since` on.
    pub async fn load_days(&self, since: Date) -> Result<BTreeMap<Date, Day>, ControlError> {
        let rows = sqlx::query(statement::LOAD_DAYS.sql(self.dialect))
            .bind(since.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing("load the complete day partitions"))?;
        let mut days = BTreeMap::new();
        for row in rows {
            let reader = Reader::new("rampkeeper.partitions", "date", &row)?;
            let date = reader.parse("date")?;
            let day = Day {
                date,
                rows: reader.count("event_rows")?,
                latest_event_at: reader.parse_optional("latest_event_at")?,
                content: reader.get("content")?,
            };
            days.insert(date, day);
        }
        Ok(days)
    }

    /// Keeps a day partition that was found complete.
    pub async fn save_day(&self, day: &Day) -> Result<(), ControlError> {
        sqlx::query(statement::SAVE_DAY.sql(self.dialect))
            .bind(day.date.to_string())
            .bind(i64::try_from(day.rows).unwrap_or(i64::MAX))
            .bind(day.latest_event_at.map(text_of))
            .bind(day.content)
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("keep the day partition {}", day.date)))?;
        Ok(())
    }

    /// Through which date the cohorts of each experiment are closed.
    pub async fn load_all_progress(&self) -> Result<AllProgress, ControlError> {
        let mut all = AllProgress::new();
        for row in self.rows(&statement::LOAD_ALL_PROGRESS, "load how far the evidence is closed").await? {
            let reader = Reader::new("rampkeeper.cohort_progress", "definition", &row)?;
            let progress = all.entry(reader.parse("experiment_id")?).or_default();
            progress.insert(reader.get("definition")?, reader.parse("through")?);
        }
        Ok(all)
    }

    /// The closed cohorts of an experiment under one metric set, in order of date, epoch and variant.
    pub async fn load_cohorts(&self, experiment: ExperimentId, set: &MetricSet) -> Result<Vec<Cohort>, ControlError> {
        let cohorts = self.load_checked_cohorts(experiment, set).await?;
        Ok(cohorts.into_iter().map(|(cohort, _)| cohort).collect())
    }

    /// The same, each with the checksum that was taken when it was kept.
    pub async fn load_checked_cohorts(
        &self,
        experiment: ExperimentId,
        set: &MetricSet,
    ) -> Result<Vec<(Cohort, String)>, ControlError> {
        let query = |statement: &'static Statement| {
            sqlx::query(statement.sql(self.dialect)).bind(experiment.to_string()).bind(set.digest.as_str())
        };
        let doing = || while_doing(format!("load the cohorts of experiment {experiment}"));
        let row = query(&statement::LOAD_PACKED_COHORTS).fetch_one(&self.pool).await.map_err(doing())?;
        if let Some(cohorts) = all_packed(&row, set)? {
            return Ok(cohorts);
        }
        let rows = query(&statement::LOAD_COHORTS).fetch_all(&self.pool).await.map_err(doing())?;
        latest(&rows, set)
    }

    /// Keeps newly closed cohorts and how far they reach, together. Cohorts that are kept already stay as they are.
    pub async fn save_cohorts(
        &self,
        experiment: ExperimentId,
        set: &MetricSet,
        cohorts: &[Cohort],
        through: Date,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let doing = || while_doing(format!("keep the cohorts of experiment {experiment}"));
        let mut transaction = self.begin().await?;
        for cohort in cohorts {
            let insert = self.cohort_query(&statement::SAVE_COHORT, experiment, set, cohort, now);
            insert.bind(0i64).execute(&mut *transaction).await.map_err(doing())?;
        }
        sqlx::query(statement::SAVE_PROGRESS.sql(self.dialect))
            .bind(experiment.to_string())
            .bind(set.digest.as_str())
            .bind(through.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(doing())?;
        transaction.commit().await.map_err(doing())
    }

    /// Keeps restated cohorts as further revisions; those that were decided from stay beside them.
    pub async fn restate_cohorts(
        &self,
        experiment: ExperimentId,
        set: &MetricSet,
        cohorts: &[Cohort],
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let doing = || while_doing(format!("keep the restated cohorts of experiment {experiment}"));
        let mut transaction = self.begin().await?;
        for cohort in cohorts {
            let insert = self.cohort_query(&statement::RESTATE_COHORT, experiment, set, cohort, now);
            insert.execute(&mut *transaction).await.map_err(doing())?;
        }
        transaction.commit().await.map_err(doing())
    }

    /// Notes what a complete day holds now.
    pub async fn restate_day(&self, day: &Day) -> Result<(), ControlError> {
        sqlx::query(statement::RESTATE_DAY.sql(self.dialect))
            .bind(day.date.to_string())
            .bind(i64::try_from(day.rows).unwrap_or(i64::MAX))
            .bind(day.latest_event_at.map(text_of))
            .bind(day.content)
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("note that the day partition {} was restated", day.date)))?;
        Ok(())
    }

    fn cohort_query(
        &self,
        statement: &'static Statement,
        experiment: ExperimentId,
        set: &MetricSet,
        cohort: &Cohort,
        now: Timestamp,
    ) -> Query<'static, Any, AnyArguments> {
        let packed = packed(&cohort.moments, set);
        let moments = if packed.is_some() { "null".to_owned() } else { json!(cohort.moments).to_string() };
        sqlx::query(statement.sql(self.dialect))
            .bind(experiment.to_string())
            .bind(set.digest.clone())
            .bind(cohort.date.to_string())
            .bind(cohort.epoch)
            .bind(cohort.variant.to_string())
            .bind(moments)
            .bind(packed)
            .bind(json!(cohort.health).to_string())
            .bind(cohort.checksum())
            .bind(text_of(now))
    }
}

/// The same from one row that has all cohorts of a set packed; nothing if some are kept in another form.
fn all_packed(row: &AnyRow, set: &MetricSet) -> Result<Option<Vec<(Cohort, String)>>, ControlError> {
    let reader = Reader { table: "rampkeeper.cohorts", key: set.digest.clone(), row };
    if reader.count("unpacked")? > 0 {
        return Ok(None);
    }
    let (heads, packed) = (reader.get::<Option<String>>("heads")?, reader.get::<Option<Vec<u8>>>("packed")?);
    let (heads, mut packed) = (heads.as_deref().unwrap_or_default(), packed.as_deref().unwrap_or_default());
    let names = MetricNames::of(set);
    let mut cohorts = Vec::new();
    for head in heads.split(';').filter(|head| !head.is_empty()) {
        let wrong = |why: String| reader.wrong("heads", format!("{head:?}"), why);
        let words = || wrong("date, epoch, variant, revision, checksum, length and health".to_owned());
        let mut parts = head.splitn(7, ' ');
        let mut next = || parts.next().ok_or_else(words);
        let date = next()?.parse().map_err(|error: jiff::Error| wrong(error.to_string()))?;
        let epoch = next()?.parse().map_err(|_| words())?;
        let variant = next()?.parse().map_err(|_| words())?;
        let revision: i64 = next()?.parse().map_err(|_| words())?;
        let checksum = next()?.to_owned();
        let length = next()?.parse().map_err(|_| words())?;
        let health = serde_json::from_str(next()?).map_err(|error| wrong(error.to_string()))?;
        let (bytes, rest) =
            packed.split_at_checked(length).ok_or_else(|| wrong(format!("at most {} bytes", packed.len())))?;
        packed = rest;
        let moments = unpacked(bytes, &names)
            .map_err(|why| reader.wrong("packed", format!("{length} bytes of {head:?}"), why))?;
        cohorts.push((revision, Cohort { date, epoch, variant, moments, health }, checksum));
    }
    cohorts.sort_by_key(|(revision, cohort, _)| (cohort.date, cohort.epoch, cohort.variant, *revision));
    Ok(Some(last_revisions(cohorts.into_iter().map(|(_, cohort, checksum)| (cohort, checksum)))))
}

/// Of each cohort the last revision, with its checksum; rows come in the order of revisions.
pub(super) fn latest(rows: &[AnyRow], set: &MetricSet) -> Result<Vec<(Cohort, String)>, ControlError> {
    let names = MetricNames::of(set);
    let cohorts = rows.iter().map(|row| cohort(row, &names)).collect::<Result<Vec<_>, _>>()?;
    Ok(last_revisions(cohorts.into_iter()))
}

/// Revisions of a cohort come one after another.
fn last_revisions(all: impl ExactSizeIterator<Item = (Cohort, String)>) -> Vec<(Cohort, String)> {
    let mut cohorts: Vec<(Cohort, String)> = Vec::with_capacity(all.len());
    for (cohort, checksum) in all {
        match cohorts.last_mut() {
            Some((last, sum))
                if (last.date, last.epoch, last.variant) == (cohort.date, cohort.epoch, cohort.variant) =>
            {
                (*last, *sum) = (cohort, checksum);
            }
            _ => cohorts.push((cohort, checksum)),
        }
    }
    cohorts
}

fn cohort(row: &AnyRow, names: &MetricNames) -> Result<(Cohort, String), ControlError> {
    let reader = Reader::new("rampkeeper.cohorts", "cohort_date", row)?;
    let moments = match reader.get::<Option<Vec<u8>>>("packed")? {
        Some(bytes) => {
            unpacked(&bytes, names).map_err(|why| reader.wrong("packed", format!("{} bytes", bytes.len()), why))?
        }
        None => reader.json("moments")?,
    };
    let cohort = Cohort {
        date: reader.parse("cohort_date")?,
        epoch: reader.get("epoch")?,
        variant: reader.parse("variant_id")?,
        moments,
        health: reader.json("health")?,
    };
    Ok((cohort, reader.get("checksum")?))
}
