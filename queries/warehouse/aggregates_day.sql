-- What the aggregates of a stretch of time count: events over all metrics, and the start of the latest bucket.
SELECT {count}, {latest}
FROM {aggregates} AS a
WHERE a.bucket_type = {bucket}
  AND {filter}
