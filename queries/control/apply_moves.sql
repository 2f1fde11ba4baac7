-- Only what is on record is moved; a unit that came meanwhile waits for the next sweep.
UPDATE exp.assignments SET variant_id = $1::uuid
WHERE experiment_id = $2::uuid AND variant_id = $3::uuid AND unit_id > $4 AND unit_id <= $5
  AND unit_id IN (
      SELECT unit_id FROM rampkeeper.assignment_moves WHERE move_key = $6 AND unit_id > $4 AND unit_id <= $5)
