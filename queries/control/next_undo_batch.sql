-- The last unit of the next batch of a sweep that is undone.
SELECT max(unit_id) AS last
FROM (
    SELECT unit_id FROM rampkeeper.assignment_moves
    WHERE move_key = $1 AND unit_id > $2
    ORDER BY unit_id
    LIMIT $3
) AS batch
