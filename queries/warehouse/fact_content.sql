-- What lies in one day of a fact: how many rows, or the sum of a hash of each.
SELECT {content}
FROM {fact}
WHERE {filter}
