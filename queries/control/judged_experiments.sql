-- Every experiment that was ever judged, be it over or gone, and how far its record goes. All of it stands in the index of
-- the decisions, so that not one of them is read.
SELECT CAST(x.experiment_id AS TEXT) AS id, coalesce(e.name, '') AS name, e.status, coalesce(e.unit_type, '') AS unit_type,
       CAST(coalesce(e.start_at, e.created_at) AS TEXT) AS started_at, x.decisions, x.nights, x.first_night, x.last_night
FROM (
    SELECT experiment_id, count(*) AS decisions, count(DISTINCT as_of) AS nights,
           CAST(min(as_of) AS TEXT) AS first_night, CAST(max(as_of) AS TEXT) AS last_night
    FROM rampkeeper.decisions
    GROUP BY experiment_id
) x
LEFT JOIN exp.experiments e ON e.id = x.experiment_id
ORDER BY name, id
