-- Indexes of exp.events for a night's reading. Optional: nothing in Rampkeeper relies on them, and they lock nobody out while
-- they are made. Run it with psql, outside of a transaction:
--
--     psql -f queries/optional/postgres_events.sql "$DATABASE_URL"
--
-- What a night reads of a new day it finds by time (counting the day, experiments with much of the traffic) or by unit (those
-- with little of it). exp.events of `rampkeeper migrate` has an index for either; a table of somebody else's may not.
--
-- Measured on 1.5 million events of 60 days (617 MB, PostgreSQL 15, two busy cores): one day of an experiment with a tenth of
-- the units takes 75-110 ms by either index. A BRIN index on the time of events that are stored as they happen takes 96 kB
-- where the btree takes 32 MB; with it the same question took 33-57 ms, since it goes by units then, and counting a day 40-80
-- ms in place of 15-20 ms. So a large table is better off with BRIN, as long as rows are appended and not updated.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_events_timestamp_brin ON exp.events USING brin (timestamp) WITH (pages_per_range = 32);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_events_unit ON exp.events (unit_type, unit_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_assignments_experiment_time ON exp.assignments (experiment_id, assigned_at);

-- With these, the btree on the time may go:
--     DROP INDEX CONCURRENTLY IF EXISTS exp.idx_events_timestamp;
