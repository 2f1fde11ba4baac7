-- Whether no unit can come twice in an experiment's assignments.
SELECT CAST(count(*) > 0 AS SIGNED)
FROM (
    SELECT group_concat(column_name ORDER BY column_name) AS columns_of_it
    FROM information_schema.statistics
    WHERE table_schema = coalesce(?, database()) AND table_name = ? AND non_unique = 0
    GROUP BY index_name
) AS indexes
WHERE columns_of_it IN ('experiment_id,unit_id', 'unit_id')
