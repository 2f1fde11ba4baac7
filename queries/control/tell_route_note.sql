-- Told in the report that the same transaction commits.
UPDATE rampkeeper.route_notes SET told_in = $2::uuid WHERE id = $1::uuid AND told_in IS NULL
