-- An order-free checksum of one day of events: the sum of a hash of each.
SELECT {checksum}
FROM {events} AS e
WHERE {filter}
