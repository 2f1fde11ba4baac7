-- How many units a redraw gave each arm.
SELECT CAST(to_variant AS TEXT) AS variant_id, count(*) AS units
FROM rampkeeper.assignment_moves
WHERE move_key = $1
GROUP BY to_variant
