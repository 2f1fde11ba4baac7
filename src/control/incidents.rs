//! Incidents: values that were read back and are not what was decided. They are kept here so that they are told even if
//! the night that found them breaks off. Also what we last wrote to the registry, by which others' changes are known.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::{Any, Transaction};
use uuid::Uuid;

use super::ControlStore;
use super::error::{ControlError, while_doing};
use super::rows::{Reader, text_of};
use super::statement;

/// A value that is not what was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct NewIncident {
    /// The run that found it.
    pub run: Uuid,
    /// The decision that it contradicts, if that is known.
    pub decision: Option<Uuid>,
    /// The journal's action that found it, if one did.
    pub action: Option<String>,
    /// What has the value: `alias champion of planner`.
    pub what: String,
    /// What was expected there.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// What was done about it, and what to do.
    pub advice: String,
    /// How to look again; without it the incident is told once.
    pub subject: Option<Value>,
    /// When it was found.
    pub at: Timestamp,
}

/// An incident that is not over.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenIncident {
    /// Its key.
    pub id: Uuid,
    /// What was noted.
    pub incident: NewIncident,
    /// When it was first told, if it was.
    pub told_at: Option<Timestamp>,
}

/// What we last wrote to the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryWrite {
    /// The value.
    pub value: String,
    /// When.
    pub written_at: Timestamp,
}

impl NewIncident {
    /// The same for the same value under the same decision, whoever finds it again.
    fn id(&self) -> Uuid {
        let name = format!("{:?} {:?} {}", self.decision, self.action, self.what);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
    }
}

impl ControlStore {
    /// Keeps an incident. One that is open already takes what was found now; one that is over stays over.
    pub async fn note_incident(&self, new: &NewIncident) -> Result<(), ControlError> {
        sqlx::query(statement::NOTE_INCIDENT.sql(self.dialect))
            .bind(new.id().to_string())
            .bind(new.run.to_string())
            .bind(new.decision.map(|id| id.to_string()))
            .bind(new.action.as_deref())
            .bind(new.what.as_str())
            .bind(new.expected.as_str())
            .bind(new.found.as_str())
            .bind(new.advice.as_str())
            .bind(new.subject.as_ref().map(Value::to_string))
            .bind(text_of(new.at))
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("keep the incident about {}", new.what)))?;
        Ok(())
    }

    /// The incidents that are not over, the oldest first.
    pub async fn open_incidents(&self) -> Result<Vec<OpenIncident>, ControlError> {
        let rows = sqlx::query(statement::OPEN_INCIDENTS.sql(self.dialect))
            .fetch_all(&self.pool)
            .await
            .map_err(while_doing("load the open incidents"))?;
        let mut incidents = Vec::with_capacity(rows.len());
        for row in rows {
            let reader = Reader::new("rampkeeper.incidents", "id", &row)?;
            let subject: Option<String> = reader.get("subject")?;
            incidents.push(OpenIncident {
                id: reader.parse("id")?,
                told_at: reader.parse_optional("told_at")?,
                incident: NewIncident {
                    run: reader.parse("run_id")?,
                    decision: reader.parse_optional("decision_id")?,
                    action: reader.get("action_key")?,
                    what: reader.get("what")?,
                    expected: reader.get("expected")?,
                    found: reader.get("found")?,
                    advice: reader.get("advice")?,
                    subject: subject.map(|_| reader.json("subject")).transpose()?,
                    at: reader.parse("found_at")?,
                },
            });
        }
        Ok(incidents)
    }

    /// Notes that an incident is over, and why. One that is over already stays as it is.
    pub async fn close_incident(&self, id: Uuid, because: &str, now: Timestamp) -> Result<(), ControlError> {
        sqlx::query(statement::CLOSE_INCIDENT.sql(self.dialect))
            .bind(id.to_string())
            .bind(text_of(now))
            .bind(because)
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("close incident {id}")))?;
        Ok(())
    }

    /// Notes that incidents are told; what nobody can look at again is over with that.
    pub(super) async fn write_told(
        &self,
        transaction: &mut Transaction<'static, Any>,
        incidents: &[Uuid],
        now: Timestamp,
    ) -> Result<(), ControlError> {
        for id in incidents {
            sqlx::query(statement::TELL_INCIDENT.sql(self.dialect))
                .bind(id.to_string())
                .bind(text_of(now))
                .execute(&mut **transaction)
                .await
                .map_err(while_doing(format!("note that incident {id} is told")))?;
        }
        Ok(())
    }

    /// Notes what we wrote to the registry, once it was read back.
    pub async fn note_registry_write(
        &self,
        (model, item): (&str, &str),
        value: &str,
        action: &str,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        sqlx::query(statement::NOTE_REGISTRY_WRITE.sql(self.dialect))
            .bind(model)
            .bind(item)
            .bind(value)
            .bind(action)
            .bind(text_of(now))
            .execute(&self.pool)
            .await
            .map_err(while_doing(format!("note what was written for {item} of {model}")))?;
        Ok(())
    }

    /// What we last wrote there, if anything.
    pub async fn last_registry_write(
        &self,
        (model, item): (&str, &str),
    ) -> Result<Option<RegistryWrite>, ControlError> {
        let row = sqlx::query(statement::LAST_REGISTRY_WRITE.sql(self.dialect))
            .bind(model)
            .bind(item)
            .fetch_optional(&self.pool)
            .await
            .map_err(while_doing(format!("read what was written for {item} of {model}")))?;
        let Some(row) = row else { return Ok(None) };
        let reader = Reader { table: "rampkeeper.registry_writes", key: format!("{model}, {item}"), row: &row };
        Ok(Some(RegistryWrite { value: reader.get("value")?, written_at: reader.parse("written_at")? }))
    }
}
