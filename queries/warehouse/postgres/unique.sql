-- Whether no unit can come twice in an experiment's assignments. A partitioned table has such a key only with the column that
-- it is partitioned by, which does not serve.
SELECT CAST(count(*) > 0 AS integer)
FROM pg_index AS i
WHERE i.indrelid = to_regclass($1)
  AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND ARRAY(
      SELECT CAST(a.attname AS text)
      FROM pg_attribute AS a
      WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
      ORDER BY 1
  ) IN (ARRAY['experiment_id', 'unit_id'], ARRAY['unit_id'])
