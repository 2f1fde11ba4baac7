-- What is due and not done, or was given up, by kind.
SELECT a.kind, a.status, count(*) AS actions, max(a.attempts) AS attempts, CAST(min(a.created_at) AS TEXT) AS oldest,
       max(a.last_error) AS last_error
FROM rampkeeper.actions a
WHERE a.status = 'failed'
   OR (a.status = 'pending' AND (a.not_before IS NULL OR a.not_before <= $1::timestamptz))
GROUP BY a.kind, a.status
ORDER BY a.status, a.kind
