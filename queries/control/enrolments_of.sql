SELECT CAST(id AS TEXT) AS id, CAST(variant_id AS TEXT) AS variant_id, version_kind,
       CAST(version_id AS TEXT) AS version_id, share, CAST(detail AS TEXT) AS detail, enrolled_by, reason,
       CAST(enrolled_at AS TEXT) AS enrolled_at
FROM rampkeeper.enrolments
WHERE experiment_id = $1::uuid
ORDER BY position
