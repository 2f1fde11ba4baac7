-- How many events the aggregates of one name count in a stretch of time.
SELECT {count}
FROM {aggregates} AS a
WHERE a.bucket_type = {bucket}
  AND a.metric_name = {name}
  AND {filter}
