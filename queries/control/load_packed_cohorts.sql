-- All of them in one row: a night of a thousand experiments would spend most of its time on taking rows apart. Both lists
-- are gathered in the same order, whatever it is. `unpacked` counts those that are kept as JSON.
SELECT string_agg(concat_ws(' ', cohort_date::text, epoch, variant_id, revision, checksum, length(packed), health::text), ';')
           AS heads,
       CAST(string_agg(packed, ''::bytea) AS bytea) AS packed,
       count(*) - count(packed) AS unpacked
FROM rampkeeper.cohorts
WHERE experiment_id = $1::uuid AND definition = $2
