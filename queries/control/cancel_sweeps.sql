-- A sweep that is still to come would take the units away again.
UPDATE rampkeeper.actions
SET status = 'failed', last_error = $2, updated_at = $3::timestamptz
WHERE decision_id = $1::uuid AND kind IN ('move_assignments', 'redraw_control') AND status = 'pending'
