-- Holds the experiment still while its decisions are recorded; it must still be as it was read.
SELECT status FROM exp.experiments WHERE id = $1::uuid FOR UPDATE
