-- Moments as numbers in bytes, a third as long as in JSON. Cohorts that were kept as JSON stay as they are; of the others
-- `moments` is null in JSON.
ALTER TABLE rampkeeper_cohorts ADD COLUMN packed BLOB;
