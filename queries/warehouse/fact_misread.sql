-- Of some rows of a fact: how many cannot be dated.
SELECT count(CASE WHEN {instant} IS NULL THEN 1 END)
FROM (SELECT * FROM {fact} LIMIT {limit}) AS f
