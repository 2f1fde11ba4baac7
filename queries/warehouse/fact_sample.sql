-- Of some rows of a fact on one day: how many belong to no unit; then, column by column, how many lack the value, and how many
-- hold something else than a number.
SELECT count(*), count(CASE WHEN {unit} IS NULL THEN 1 END){values}
FROM (SELECT * FROM {fact} WHERE {filter} LIMIT {limit}) AS f
