-- Units on control that are drawn anew at a ramp: when they count as exposed, and what their assignments said before.

-- The instant at which the redrawn units of an epoch count as exposed. An epoch of new units has none.
ALTER TABLE rampkeeper_allocation_epochs ADD COLUMN redrawn_at TEXT;

-- When a redrawn unit had been assigned before; `assigned_at` is what the redraw has set. Plain moves set none.
ALTER TABLE rampkeeper_assignment_moves ADD COLUMN was_assigned_at TEXT;
