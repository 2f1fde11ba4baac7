-- The aggregates of one experiment, few enough to be added up here: one row per variant, metric and bucket.
SELECT {variant}, a.metric_name, {start}, {count}, {sum}, {stddev}
FROM {aggregates} AS a
WHERE {of_experiment}
  AND a.bucket_type = {bucket}
  AND a.metric_name IN ({names})
  AND {filter}
