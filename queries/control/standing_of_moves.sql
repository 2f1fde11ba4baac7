-- What has become of the units that one sweep moved. Those that a redraw left on control have nowhere to go back to. A unit that the second sweep took again is that one's.
SELECT standing, count(*) AS units
FROM (
    SELECT CASE WHEN u.unit_id IS NOT NULL THEN 'undone'
                WHEN a.unit_id IS NULL THEN 'gone'
                WHEN a.variant_id <> m.to_variant THEN 'elsewhere'
                WHEN a.assigned_at IS DISTINCT FROM m.assigned_at THEN 'reassigned'
                ELSE 'there' END AS standing
    FROM rampkeeper.assignment_moves m
    LEFT JOIN rampkeeper.assignment_moves u ON u.move_key = $2 AND u.unit_id = m.unit_id
    LEFT JOIN exp.assignments a ON a.experiment_id = m.experiment_id AND a.unit_id = m.unit_id
    WHERE m.move_key = $1 AND m.from_variant <> m.to_variant
      AND NOT EXISTS (
          SELECT 1 FROM rampkeeper.assignment_moves n WHERE n.move_key = $3 AND n.unit_id = m.unit_id)
) AS unit
GROUP BY standing
