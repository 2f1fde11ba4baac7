-- Touches no row when the version doesn't exist. The casts tell PostgreSQL the types of a select list's parameters.
INSERT INTO rampkeeper.registry_aliases (model, alias, version)
SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT)
WHERE EXISTS (SELECT 1 FROM rampkeeper.registry_tags WHERE model = $1 AND version = $3)
ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version
